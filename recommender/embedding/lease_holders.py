"""Which workers live: each holds a number for as long as its process lasts, and others see whether it is held.

On PostgreSQL the number is an advisory lock of a session, on SQLite the lock of a file beside the database. Server and
kernel let go of it when the process ends, however it ends; one that is merely slow or stopped keeps it. So what the
dead had leased is given back within seconds, and not when its time is over.
"""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from django.db import connection

# After the database was away nobody holds anything until all have connected again, which takes them a heartbeat.
RECONNECTED_SECONDS = 3.0

# The second value says whether every session is so young that some workers may not have connected yet. A clock that was
# set back makes sessions of the future, which are not young.
HELD = """
    SELECT (SELECT array_agg((classid::bigint << 32) | objid::bigint) FROM pg_locks
            WHERE locktype = 'advisory' AND objsubid = 1 AND granted
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
           (SELECT clock_timestamp() - min(backend_start) BETWEEN interval '0' AND %s * interval '1 second'
            FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend')
"""


class LeaseHolder:
    """One worker process's number. It is held by the connection, or the open file, of the thread that calls `hold`."""

    def __init__(self) -> None:
        self._number = secrets.randbits(62) + 1
        # What leases are marked with; None while it is not held, and then only time ends them.
        self.number: int | None = None
        self._held_by: object = None
        self._file: IO[str] | None = None

    def hold(self) -> None:
        """Take the number, where the session or file that held it is gone. To be called again and again."""
        if connection.vendor == "postgresql":
            connection.ensure_connection()
            if self._held_by is not connection.connection:
                self.number = None
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_lock(%s)", [self._number])
                self._held_by, self.number = connection.connection, self._number
        elif self._held_by is None and (folder := _lock_folder()):
            folder.mkdir(mode=0o700, exist_ok=True)
            self._file = (folder / str(self._number)).open("w")
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._held_by, self.number = self._file, self._number

    def let_go(self) -> None:
        """This worker has ended in order; a session lets go when it is closed."""
        self._held_by = self.number = None
        if self._file:
            Path(self._file.name).unlink(missing_ok=True)
            self._file.close()


def find_dead_holders(numbers: Iterable[int]) -> set[int]:
    """Those that nobody holds any more; none while their holders may still be connecting."""
    asked = set(numbers)
    if not asked:
        return set()
    held, is_certain = _find_held(asked)
    return asked - held if is_certain else set()


def are_workers_connecting() -> bool:
    """Whether database or site have started so lately that nobody can be taken for dead yet."""
    return connection.vendor == "postgresql" and not _find_held(set())[1]


def find_living_holders(numbers: Iterable[int]) -> set[int]:
    """Those that a process holds, be it stopped or hanging."""
    asked = set(numbers)
    return asked & _find_held(asked)[0] if asked else set()


def _find_held(asked: set[int]) -> tuple[set[int], bool]:
    """The numbers that are held, and whether all the others are not."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(HELD, [RECONNECTED_SECONDS])
            held, just_connected = cursor.fetchone()
        return set(held or ()), not just_connected
    folder = _lock_folder()
    return {number for number in asked if folder and _is_file_locked(folder / str(number))}, folder is not None


def _lock_folder() -> Path | None:
    """Beside the database, because whoever shares it shares this folder too; a database in memory has one process."""
    name = str(connection.settings_dict["NAME"])
    is_in_memory = ":memory:" in name or "mode=memory" in name
    return None if is_in_memory else Path(f"{name}-workers")


def _is_file_locked(path: Path) -> bool:
    with suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        path.unlink(missing_ok=True)
    return False
