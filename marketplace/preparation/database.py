"""The schema, and SQLite's journal: switching it costs an exclusive lock, so it happens here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connection

# Any number serves as the key of an advisory lock if nothing else uses it; this one is "market" in ASCII.
MIGRATION_LOCK = 0x6D61726B6574


def prepare_database(verbosity: int = 0) -> None:
    """Bring the schema up to date; of several containers that start together, one migrates and the others wait."""
    if connection.vendor == "sqlite":
        enable_wal()
    with hold_migration_lock():
        call_command("migrate", interactive=False, verbosity=verbosity)


def enable_wal() -> None:
    """Let readers go on while one writes; the mode is stored in the file."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode=WAL")


@contextmanager
def hold_migration_lock() -> Iterator[None]:
    # SQLite has no advisory locks and needs none: its site lives on one host, where `make run` starts one process to
    # migrate.
    if connection.vendor != "postgresql":
        yield
        return
    # The lock belongs to the session, so PostgreSQL frees it when a container is killed during the migration.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
