"""What is away, full or busy, told from an exception: one sentence for whoever asked, and one name for the log.

What is none of these is a bug, and is logged with its trace.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError, InternalError, OperationalError
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from listings.photos.no_room import CannotStore, explain_refusal

from .disks import name_root


@dataclass(frozen=True)
class Outage:
    """`subject` and `trouble` make one line of the log; `sentence`, `code` and `status` the answer of a request."""

    subject: str
    trouble: str
    sentence: str
    code: str
    status: int = 503


AWAY = Outage(
    "the database", "does not answer", "The database does not answer. Try again in a moment.", "database_unavailable"
)
BUSY = Outage(
    "the database",
    "is held by another writer",
    "The database is busy with another change, and nothing was saved. Try again in a moment.",
    "database_busy",
)
FULL = Outage(
    "the disk of the database",
    "is full",
    "The disk of the database is full, so nothing can be saved. Try again later.",
    "storage_full",
    507,
)
READ_ONLY = Outage(
    "the database",
    "takes no changes",
    "The database can only be read now, so nothing was saved. Try again later.",
    "database_read_only",
)
UNREADABLE = Outage(
    "the disk of the database",
    "cannot be read or written",
    "The disk of the database fails. Try again later.",
    "database_unavailable",
)
BROKER = Outage("the broker", "does not answer", "The broker does not answer. Try again in a moment.", "unavailable")

# By the first letters of what SQLite calls its error. What it calls SQLITE_ERROR is a fault of a statement.
SQLITE = {
    "SQLITE_FULL": FULL,
    "SQLITE_BUSY": BUSY,
    "SQLITE_LOCKED": BUSY,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_IOERR": UNREADABLE,
    "SQLITE_CANTOPEN": AWAY,
    "SQLITE_ERROR": None,
}
# By SQLSTATE: a full disk, a server that only repeats another one, and locks that were waited for in vain.
POSTGRESQL = {"53100": FULL, "25006": READ_ONLY, "40P01": BUSY, "40001": BUSY, "55P03": BUSY, "57014": BUSY}

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def find_outage(exc: BaseException | None) -> Outage | None:
    """What this exception, or what caused it, says is away; None for everything else."""
    while exc is not None:
        if outage := _judge(exc):
            return outage
        exc = exc.__cause__
    return None


def _judge(exc: BaseException) -> Outage | None:
    if isinstance(exc, CannotStore):
        code = "storage_full" if exc.status == 507 else "storage_unavailable"
        return Outage(exc.place.setting, exc.trouble, exc.sentence, code, exc.status)
    if isinstance(exc, DatabaseError | InterfaceError):
        return _judge_database_error(exc)
    if isinstance(exc, RedisError | BrokerError):
        return BROKER
    if isinstance(exc, OSError) and exc.errno in DISK_ERRORS:
        where, trouble = name_root(exc.filename), explain_refusal(exc)
        status = 503 if exc.errno == errno.EROFS else 507
        sentence = f"A disk of this site {trouble}, so nothing was saved. Try again later."
        return Outage(where, trouble, sentence, "storage_full" if status == 507 else "storage_unavailable", status)
    return None


def _judge_database_error(exc: Exception) -> Outage | None:
    # A standby server refuses writes with an InternalError; other troubles of a server are OperationalErrors, and a
    # connection that was closed meanwhile raises InterfaceError.
    cause = exc.__cause__
    if name := getattr(cause, "sqlite_errorname", None):
        return next((outage for start, outage in SQLITE.items() if name.startswith(start)), None)
    known = POSTGRESQL.get(getattr(cause, "sqlstate", None) or "")
    if isinstance(exc, InternalError):
        return known
    return known or AWAY if isinstance(exc, OperationalError | InterfaceError) else None
