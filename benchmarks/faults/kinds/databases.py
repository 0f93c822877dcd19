"""The database server restarts, crashes or is away; SQLite's file is locked by somebody else."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.faults.fault import BACK_WITHIN_SECONDS, Fault
from benchmarks.faults.scene import Scene
from tests.servers.stack import children

AWAY_SECONDS = 9.0
LOCKED_SECONDS = 5.0
PRIVATE = "the server at --database-url is not ours to stop; --postgres takes one of its own"


def list_faults(scene: Scene) -> list[Fault]:
    if scene.is_sqlite:
        return [Fault(f"database locked {LOCKED_SECONDS:.0f} s", lock_database, LOCKED_SECONDS)]
    ours = partial(Fault, back_within=BACK_WITHIN_SECONDS, impossible="" if scene.postgres else PRIVATE)
    return [
        ours("database restarts", partial(halt_database, number=signal.SIGINT)),
        ours("database crashes", partial(halt_database, number=signal.SIGQUIT)),
        ours("kill -9 a session of the database", kill_session),
        ours(f"database away {AWAY_SECONDS:.0f} s", partial(halt_database, number=signal.SIGINT), AWAY_SECONDS),
    ]


@contextmanager
def lock_database(scene: Scene) -> Iterator[None]:
    with closing(sqlite3.connect(scene.stack.var / "db.sqlite3", timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def halt_database(scene: Scene, number: signal.Signals) -> Iterator[None]:
    assert scene.postgres  # noqa: S101 - else the fault is impossible
    scene.postgres.halt(number)
    yield
    scene.postgres.restart()


@contextmanager
def kill_session(scene: Scene) -> Iterator[None]:
    """The server ends all other sessions too, and recovers, because the one may have left anything in shared memory."""
    assert scene.postgres  # noqa: S101 - else the fault is impossible
    server = scene.postgres.pid
    assert server  # noqa: S101 - it runs
    sessions = [pid for pid in children(server) if b"postgres: postgres" in _read_title(pid)]
    os.kill(scene.random.choice(sessions), signal.SIGKILL)
    yield


def _read_title(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
