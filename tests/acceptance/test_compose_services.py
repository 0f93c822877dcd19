"""Each service's command of docker-compose.yml, with its environment, as a real process on PostgreSQL and Valkey."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from marketplace.supervisor.parent import die_with_parent
from tests.servers import compose
from tests.servers.stack import KEPT_VARIABLES, alive, children, free_port
from tests.servers.valkey import Valkey
from tests.servers.visitor import Visitor

SERVICES = compose.application_services()


class Site:
    """What `docker compose up` would have around a service, with this machine's addresses."""

    def __init__(self, var: Path, database_url: str, redis_url: str) -> None:
        self.var = var
        self.port, self.health_port = free_port(), free_port()
        self._here = {
            "VAR_DIR": str(var),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "BIND": f"127.0.0.1:{self.port}",
            "HEALTH_BIND": f"127.0.0.1:{self.health_port}",
        }

    def environ(self, name: str) -> dict[str, str]:
        declared = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
        replaced = {key: value for key, value in self._here.items() if key in declared}
        kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
        return {**kept, "PYTHONUNBUFFERED": "1", **declared, **replaced}

    def run(self, name: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._here_command(command),
            cwd=compose.ROOT,
            env=self.environ(name),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def start(self, name: str) -> Service:
        return Service(name, self._here_command(SERVICES[name]["command"]), self.environ(name), self.var)

    def is_healthy(self, name: str) -> bool:
        kind, *check = SERVICES[name]["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            check = ["sh", "-c", check[0].replace("/tmp", str(self.var))]  # noqa: S108 - replaced by our own
        return self.run(name, check).returncode == 0

    def _here_command(self, command: list[str]) -> list[str]:
        python = [sys.executable if part == "python" else part for part in command]
        return [
            part.replace("127.0.0.1:8001", f"127.0.0.1:{self.health_port}").replace("=/tmp/", f"={self.var}/")
            for part in python
        ]


class Service:
    """One running service; `said` waits for words in its log."""

    def __init__(self, name: str, command: list[str], environ: dict[str, str], var: Path) -> None:
        self.name = name
        self.log = var / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=compose.ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - called from the main thread
            )

    def said(self, words: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while words not in self.log.read_text():
            assert self.process.poll() is None, f"{self.name} ended:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"{self.name} never said '{words}':\n{self.log.read_text()}"
            time.sleep(0.1)

    def stop(self) -> int:
        """What `docker compose stop` does; fails where the engine would have to kill."""
        grace = compose.seconds(SERVICES[self.name]["stop_grace_period"])
        left = [*children(self.process.pid), self.process.pid]
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(grace)
        assert not any(alive(pid) for pid in left)
        return status


@pytest.fixture(scope="module")
def site(short_tmp, prepared_var, postgres_server) -> Iterator[Site]:
    """After `prepare` ended well, as every other service waits for."""
    var = short_tmp / "compose"
    var.mkdir()
    (var / "models").symlink_to(prepared_var / "models")
    postgres_server.create("compose")
    broker = Valkey(short_tmp / "compose.sock")
    broker.start()
    site = Site(var, postgres_server.database_url("compose"), broker.url)
    done = site.run("prepare", SERVICES["prepare"]["command"])
    assert done.returncode == 0, done.stdout + done.stderr
    yield site
    broker.stop()


def test_prepare_makes_an_administrator_and_static_files(site):
    again = site.run("prepare", SERVICES["prepare"]["command"])
    assert again.returncode == 0
    assert "created superuser" not in again.stdout
    assert (site.var / "static" / "staticfiles.json").exists()
    assert not (site.var / "admin-password").exists()


def test_web_answers_and_its_health_check_agrees(site):
    web = site.start("web")
    visitor = Visitor(f"http://127.0.0.1:{site.port}")
    deadline = time.monotonic() + 60
    while not site.is_healthy("web"):
        assert time.monotonic() < deadline, web.log.read_text()
    assert "<html" in visitor.get("/").expect(200).text
    visitor.post("/api/v1/token/", {"username": "admin", "password": compose.SECRETS["ADMIN_PASSWORD"]}).expect(200)
    assert web.stop() == 0
    assert not site.is_healthy("web")


@pytest.mark.parametrize("name", ["embedding", "indexing", "default"])
def test_a_worker_gets_ready_and_its_heartbeat_shows(site, name):
    worker = site.start(name)
    worker.said(" ready.")
    deadline = time.monotonic() + 30
    while not site.is_healthy(name):
        assert time.monotonic() < deadline, worker.log.read_text()
    assert worker.stop() == 0
    assert not site.is_healthy(name), "the heartbeat of an ended worker is still there"


def test_beat_sends_what_is_due_and_writes_its_schedule(site):
    beat = site.start("beat")
    beat.said("Sending due task")
    beat.stop()
    assert site.is_healthy("beat")
