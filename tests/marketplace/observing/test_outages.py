"""An outage is told by name and once; what is logged of a request is what it was answered."""

import errno
import io
import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

import psycopg.errors
import pytest
import redis
import structlog
from django.db import DatabaseError, InternalError, OperationalError, connection
from django.db.backends.signals import connection_created
from django.test import Client
from kombu.exceptions import OperationalError as BrokerError

from listings.photos.no_room import ORIGINALS, CannotStore
from marketplace.observing.outage_log import own_log
from marketplace.observing.outages import AWAY, find_outage


@pytest.fixture
def handler():
    """What writes this process's log on stderr."""
    (handler,) = [one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler]
    return handler


@pytest.fixture
def log(handler, monkeypatch):
    monkeypatch.setattr(handler, "stream", io.StringIO())
    return lambda: handler.stream.getvalue().splitlines()


def caused(exc: Exception, cause: BaseException) -> Exception:
    exc.__cause__ = cause
    return exc


def sqlite_error(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("said by SQLite")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("exc", "subject", "status"),
    [
        (OperationalError("gone"), "the database", 503),
        (caused(OperationalError(), sqlite_error("SQLITE_FULL")), "the disk of the database", 507),
        (caused(OperationalError(), sqlite_error("SQLITE_BUSY_SNAPSHOT")), "the database", 503),
        (caused(OperationalError(), sqlite_error("SQLITE_READONLY_DBMOVED")), "the database", 503),
        (caused(OperationalError(), sqlite_error("SQLITE_IOERR_WRITE")), "the disk of the database", 503),
        (caused(OperationalError(), psycopg.errors.DiskFull()), "the disk of the database", 507),
        (caused(InternalError(), psycopg.errors.ReadOnlySqlTransaction()), "the database", 503),
        (caused(OperationalError(), psycopg.errors.DeadlockDetected()), "the database", 503),
        (redis.ConnectionError("gone"), "the broker", 503),
        (caused(RuntimeError(), BrokerError("gone")), "the broker", 503),
        (CannotStore(ORIGINALS, OSError(errno.EDQUOT, "quota")), "ORIGINALS_ROOT", 507),
        (CannotStore(ORIGINALS, OSError(errno.EROFS, "read-only")), "ORIGINALS_ROOT", 503),
    ],
)
def test_an_outage_is_told_by_name(exc, subject, status):
    outage = find_outage(exc)
    assert outage
    assert (outage.subject, outage.status) == (subject, status)


@pytest.mark.parametrize(
    "exc",
    [
        caused(OperationalError(), sqlite_error("SQLITE_ERROR")),
        caused(InternalError(), psycopg.errors.InvalidCursorName()),
        DatabaseError("a bug"),
        OSError(errno.ENOENT, "no such file"),
        ValueError("a bug"),
    ],
)
def test_a_bug_is_no_outage(exc):
    assert find_outage(exc) is None


def test_a_connection_that_is_made_ends_no_lock(log):
    for trouble in ("SQLITE_BUSY", "SQLITE_CANTOPEN"):
        try:
            raise caused(OperationalError(trouble), sqlite_error(trouble))
        except OperationalError:
            logging.getLogger("a.task").exception("task failed")
    connection_created.send(sender=None, connection=connection)
    lines = [line for line in log() if "The database" in line]
    assert [line.partition("The database ")[2].partition(" ")[0] for line in lines] == ["is", "does", "is"]
    assert "is held by another writer, since" in lines[0]
    assert "is back after" in lines[2]


def test_many_records_of_one_outage_are_a_line_and_its_end_is_another(log):
    for _ in range(3):
        try:
            raise OperationalError("server closed the connection")
        except OperationalError as exc:
            logging.getLogger("a.thread").warning("not refreshed: %s", exc)
            logging.getLogger("a.task").exception("task failed")
            structlog.get_logger("a.request").exception("request_failed", code=500)
    own_log.get().end(AWAY)
    own_log.get().end(AWAY)
    away, back = log()
    assert "The database does not answer, since" in away
    assert "server closed the connection" in away
    assert "it was missed 9 times" in back


def test_what_is_no_outage_keeps_its_trace(log):
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("a.task").exception("task failed")
    assert "Traceback" in log()[0]


def test_an_outage_that_lasts_is_told_again_each_minute(log, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("marketplace.observing.outage_log.time.monotonic", lambda: clock[0])
    for second in range(0, 130, 5):
        clock[0] = float(second)
        logging.getLogger("a.thread").warning("%s", redis.ConnectionError("refused"))
    first, *again = log()
    assert "The broker does not answer, since" in first
    assert len(again) == 2
    assert "The broker still does not answer, since" in again[0]


@pytest.mark.django_db
def test_the_code_that_is_logged_is_the_code_that_was_answered(log, caplog):
    caplog.set_level(logging.INFO)

    def refuse(execute, sql, params, many, context):
        raise OperationalError("server closed the connection unexpectedly")

    with connection.execute_wrapper(refuse):
        for path in ("/", "/api/v1/listings/", "/api/v1/listings/1/", "/admin/login/"):
            assert (
                Client(raise_request_exception=False, headers={"Cookie": "sessionid=abc"}).get(path).status_code == 503
            )
    said = [line for line in log() if '"code"' in line]
    assert len(said) == 4
    assert all('"code": 503' in line for line in said)
    assert "Traceback" not in "".join(log())


def test_a_log_that_cannot_be_written_fails_no_request(handler, monkeypatch):
    # Closing the file would write once more what could not be written.
    with suppress(OSError), Path("/dev/full").open("w") as full, monkeypatch.context() as patch:
        patch.setattr(handler, "stream", full)
        assert Client().get("/health/live").status_code == 200
        assert Client().post("/health/live").status_code == 405
