"""A whole site as real processes, started exactly as `make run` starts one: own port, own `var/`.

    with Stack(tmp_path / "var", embedding=2) as stack:
        visitor = stack.visitor()
        visitor.get("/").expect(200)
        stack.kill("embedding-1")  # kill -9; the supervisor starts another
        stack.wait_for(lambda: ..., "every photo is embedded")

`demo` is how many listings the first start draws; `development` is `make dev`, of the code below `root`. With
`own_broker` the test owns the broker and can take it away: `stack.broker.stop()`, `stack.broker.start()`.
When a start or a wait fails, the exception carries the end of the log of every process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from marketplace.paths import health_socket_path, private_broker_url, run_directory
from marketplace.supervisor.parent import die_with_parent
from marketplace.supervisor.probe import DoorConnection
from tests.servers.visitor import Answer, Visitor

from .valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]
# What runs a site, of all that lies in ROOT.
CODE = ("listings", "marketplace", "ml", "recommender", "workers", "manage.py")
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
PASSWORD = "only-for-tests"
# In the environment of a site whose callers are never asked to wait.
UNTHROTTLED = {f"THROTTLE_{scope}": "none" for scope in ("ANON", "USER", "TOKEN", "SEARCH", "PUBLISH", "UPLOAD")}

T = TypeVar("T")


class StackFailed(AssertionError):
    """The site did not do what the test waited for; the message ends with its log."""


class Stack:
    def __init__(
        self,
        var: Path,
        *,
        web: int = 2,
        embedding: int = 1,
        database_url: str = "",
        own_broker: bool = False,
        demo: int = 0,
        environ: Mapping[str, str] | None = None,
        root: Path = ROOT,
        development: bool = False,
    ) -> None:
        self.var = var
        self.root = root
        self._options = ("--development",) if development else ()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = var.with_name(f"{var.name}.log")
        self.broker = Valkey(var.with_name(f"{var.name}.sock")) if own_broker else None
        self.environ = {
            **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            "VAR_DIR": str(var),
            "PORT": str(self.port),
            "WEB_PROCESSES": str(web),
            "EMBEDDING_PROCESSES": str(embedding),
            "ADMIN_PASSWORD": PASSWORD,
            "DEMO": str(demo),
            **({"DATABASE_URL": database_url} if database_url else {}),
            **({"REDIS_URL": self.broker.url} if self.broker else {}),
            **(environ or {}),
        }
        self._supervisor: subprocess.Popen | None = None

    # Life

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self, timeout: float = 180) -> Self:
        """Start and wait until /health/ready says 200; a second call after `stop` starts on the same data."""
        if self.broker and not self.broker.pid:
            self.broker.start()
        with self.log_file.open("ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "marketplace.supervisor", *self._options],
                cwd=self.root,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - called from the main thread
            )
        self.wait_for(self.ready, "the site is ready", timeout)
        return self

    def stop(self, timeout: float = 60) -> int | None:
        """Ctrl-C; the supervisor's exit status, None if it was not running."""
        status = None
        if self._supervisor:
            self._supervisor.send_signal(signal.SIGINT)
            try:
                status = self._supervisor.wait(timeout)
            except subprocess.TimeoutExpired:
                self._supervisor.kill()
                self._supervisor.wait()
            self._supervisor = None
        if self.broker:
            self.broker.stop()
        return status

    def kill_supervisor(self) -> None:
        """kill -9 of the supervisor itself: nothing it started may live on."""
        assert self._supervisor, "the stack is not running"
        self._supervisor.kill()
        self._supervisor.wait()
        self._supervisor = None

    @property
    def running(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    # Questions

    def visitor(self, token: str | None = None) -> Visitor:
        return Visitor(self.url, token)

    def admin(self) -> Visitor:
        """Staff over REST, with the token of the superuser."""
        credentials = {"username": "admin", "password": PASSWORD}
        return self.visitor(self.visitor().post("/api/v1/token/", credentials).expect(200).json()["token"])

    def ready(self) -> bool:
        if not self.running:
            raise StackFailed(f"the supervisor ended.\n{self.log_tail()}")
        with suppress(OSError):
            return self.visitor().get("/health/ready", timeout=5).status == 200
        return False

    def health(self, path: str = "/health/ready", timeout: float = 60) -> Answer:
        """What is answered at health's own door, with the details."""
        return ask_at_door(f"unix:{health_socket_path(self.var)}", path, timeout)

    def manage(self, *arguments: str, timeout: float = 300) -> str:
        """Run `manage.py` on this site's data; what it printed."""
        return self.run("manage.py", *arguments, timeout=timeout)

    def run(self, *arguments: str, timeout: float = 600) -> str:
        """Run Python with this site's environment to its end; what it printed."""
        process = self.spawn(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            output = process.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        if process.returncode:
            raise StackFailed(f"{' '.join(arguments)} failed.\n{output}")
        return output

    def spawn(
        self, *arguments: str, stdin: Any = subprocess.DEVNULL, stdout: Any = None, stderr: Any = None, **environ: str
    ) -> subprocess.Popen[str]:
        """Start Python with this site's environment, beside the site."""
        defaults = {"REDIS_URL": private_broker_url(self.var)}
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.root,
            env={**defaults, **self.environ, **environ},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )

    def wait_for(self, answer: Callable[[], T | None], what: str, timeout: float = 60, every: float = 0.1) -> T:
        """The first true value that `answer` gives; StackFailed, with the log, when none comes in time."""
        deadline = time.monotonic() + timeout
        while True:
            if value := answer():
                return value
            if time.monotonic() > deadline:
                raise StackFailed(f"not within {timeout:.0f} s: {what}.\n{self.log_tail()}")
            time.sleep(every)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log_tail(self, lines: int = 80) -> str:
        return "\n".join(self.log().splitlines()[-lines:])

    # Processes

    def pids(self) -> dict[str, int]:
        """Name to process id: supervisor, broker, web, embedding-1 …, indexing, default, beat."""
        return json.loads((run_directory(self.var) / "processes.json").read_text())

    def web_workers(self) -> list[int]:
        return children(self.pids()["web"])

    def all_pids(self) -> set[int]:
        """Every process of this site, grandchildren included."""
        found, new = set(), set(self.pids().values())
        while new:
            found |= new
            new = {child for pid in new for child in children(pid)} - found
        return found

    def kill(self, name: str) -> int:
        """kill -9; the id of the process that is no more."""
        return self._signal(name, signal.SIGKILL)

    def pause(self, name: str) -> int:
        """SIGSTOP: the process is there and does nothing, as on a machine that stalled."""
        return self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> int:
        return self._signal(name, signal.SIGCONT)

    def wait_for_restart(self, name: str, old: int, timeout: float = 30) -> int:
        """The id of the process that took the place of `old`."""

        def successor() -> int | None:
            pid = self.pids().get(name)
            return pid if pid != old else None

        return self.wait_for(successor, f"{name} is started again", timeout)

    def _signal(self, name: str, number: signal.Signals) -> int:
        pid = self.pids()[name]
        os.kill(pid, number)
        return pid


def ask_at_door(bind: str, path: str = "/health/ready", timeout: float = 60) -> Answer:
    connection = DoorConnection(bind, timeout=timeout)
    connection.request("GET", path)
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read(), path)


def copy_code(target: Path) -> Path:
    """The project's code in another folder, which may be changed."""
    target.mkdir(parents=True)
    for name in CODE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, target / name)
    return target


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def children(pid: int) -> list[int]:
    """The processes that any thread of this one started."""
    found: list[int] = []
    for file in Path("/proc").glob(f"{pid}/task/*/children"):
        with suppress(OSError):  # the thread has just ended, and another one of the process has its children
            found += map(int, file.read_text().split())
    return found


def alive(pid: int) -> bool:
    """Whether the process exists and is not merely waiting to be reaped."""
    try:
        status: Any = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return status not in "ZX"
