"""The schema, and SQLite's journal: switching it costs an exclusive lock, so it happens here and nowhere else."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import call_command
from django.db import connection

# Any number serves as the key of an advisory lock if nothing else uses it; this one is "market" in ASCII.
PREPARATION_LOCK = 0x6D61726B6574


def prepare_database(verbosity: int = 0) -> None:
    """Bring the schema up to date; of several processes that start together, one migrates and the others wait."""
    with hold_preparation_lock():
        update_schema(verbosity)


def update_schema(verbosity: int = 0) -> None:
    if connection.vendor == "sqlite":
        enable_wal()
    call_command("migrate", interactive=False, verbosity=verbosity)


def enable_wal() -> None:
    """Let readers go on while one writes; the mode is stored in the file."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode=WAL")


@contextmanager
def hold_preparation_lock() -> Iterator[None]:
    """Let one process at a time make a site ready. The lock ends with its process, however it ends."""
    if connection.vendor != "postgresql":
        # SQLite has no advisory locks, so a file beside the database takes their place.
        with Path(f"{connection.settings_dict['NAME']}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    # The lock belongs to the session, so PostgreSQL frees it when a container is killed during the migration.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [PREPARATION_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [PREPARATION_LOCK])
