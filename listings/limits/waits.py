"""How long a write waits for SQLite's lock, which one writer holds for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

BRIEF_WAIT_MS = 100


@contextmanager
def wait_briefly(most_ms: int = BRIEF_WAIT_MS) -> Iterator[None]:
    """For a write that may as well be left out or refused: the lock is waited for no longer, and no thread is held."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    sqlite = connection.connection
    (usual,) = sqlite.execute("PRAGMA busy_timeout").fetchone()
    sqlite.execute(f"PRAGMA busy_timeout = {min(usual, most_ms)}")
    try:
        yield
    finally:
        sqlite.execute(f"PRAGMA busy_timeout = {usual}")
