"""An outage is one line when it begins, one a minute while it lasts, and one when it is over: in each process.

Whoever meets one logs it as usual, with its exception among the arguments or as a trace, and need not know of others:
the filter of the log's handler makes one line of all.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from celery.signals import after_task_publish, task_received
from django.db.backends.signals import connection_created
from django.utils import timezone

from ml.per_process import PerProcess

from .outages import AWAY, BROKER, Outage, find_outage

logger = logging.getLogger(__name__)

REPEAT_SECONDS = 60.0
CAUSE_LENGTH = 200
# A new connection is the sign of life of a database that was away; a message that came, or could be sent, that of the
# broker. Others show none: a database that another writer holds takes new connections all the same.
SIGNS_OF_LIFE: dict[Outage, tuple[Any, ...]] = {
    AWAY: (connection_created,),
    BROKER: (task_received, after_task_publish),
}


@dataclass
class _Lasting:
    """One outage as this process knows it, in seconds of the monotonic clock."""

    since: str
    began: float
    told: float
    met: float
    times: int = 1


class OutageLog:
    def __init__(self) -> None:
        self._lasting: dict[Outage, _Lasting] = {}
        self._lock = threading.Lock()

    def describe_if_due(self, outage: Outage, said: str) -> str | None:
        """The line to write about an outage that was met, or None where it has been told."""
        now = time.monotonic()
        with self._lock:
            lasting = self._lasting.get(outage)
            # Nobody says when a disk has room or a lock is gone, so one that was not met for so long is another outage.
            if lasting is None or now - lasting.met > REPEAT_SECONDS:
                since = timezone.now().strftime("%H:%M:%S")
                self._lasting[outage] = _Lasting(since, now, now, now)
                self._listen_for_signs_of_life(outage)
                return f"{_capitalize(outage.subject)} {outage.trouble}, since {since} UTC: {said}"
            lasting.met, lasting.times = now, lasting.times + 1
            if now - lasting.told < REPEAT_SECONDS:
                return None
            lasting.told = now
            return f"{_capitalize(outage.subject)} still {outage.trouble}, since {lasting.since} UTC."

    def end(self, outage: Outage) -> None:
        """Say that what was away is back, if this process had missed it."""
        with self._lock:
            lasting = self._lasting.pop(outage, None)
        if lasting is not None:
            seconds = time.monotonic() - lasting.began
            logger.warning(
                "%s is back after %.1f s; it was missed %d times.", _capitalize(outage.subject), seconds, lasting.times
            )

    def _listen_for_signs_of_life(self, outage: Outage) -> None:
        """Only while something is away, so that nothing is asked of those who find it there."""

        def end(**kwargs: object) -> None:
            for sign in signs:
                sign.disconnect(dispatch_uid=outage.subject)
            own_log.get().end(outage)

        signs = SIGNS_OF_LIFE.get(outage, ())
        for sign in signs:
            sign.connect(end, weak=False, dispatch_uid=outage.subject)


own_log = PerProcess(OutageLog)


def tell_once(record: logging.LogRecord) -> bool:
    """Let a record about an outage pass as the outage's own line, if that is due, and stop the others."""
    exc = _find_exception(record)
    outage = find_outage(exc)
    if exc is None or outage is None:
        return True
    line = own_log.get().describe_if_due(outage, _find_words(record, exc))
    if line is not None:
        _rewrite(record, line)
    return line is not None


def _find_exception(record: logging.LogRecord) -> BaseException | None:
    """What was raised, wherever a record has it: standard and structlog loggers keep it in other places."""
    said: list[object] = [record.exc_info, getattr(record, "cause", None), *_list_arguments(record)]
    if isinstance(record.msg, dict):
        said += [record.msg.get("exc_info"), record.msg.get("exception")]
    for one in said:
        found = sys.exception() if one is True else one[1] if isinstance(one, tuple) and len(one) > 1 else one
        if isinstance(found, BaseException):
            return found
    return None


def _list_arguments(record: logging.LogRecord) -> tuple[object, ...]:
    return record.args if isinstance(record.args, tuple) else ()


def _rewrite(record: logging.LogRecord, line: str) -> None:
    record.levelno, record.levelname = logging.ERROR, "ERROR"
    record.args, record.exc_info, record.exc_text, record.stack_info = (), None, None, None
    if isinstance(record.msg, dict):
        dropped = ("exc_info", "exception", "error")
        kept = {name: value for name, value in record.msg.items() if name not in dropped}
        record.msg = {**kept, "event": line, "level": "error"}
    else:
        record.msg = line


def _find_words(record: logging.LogRecord, exc: BaseException) -> str:
    """The first line of the cause; with what cannot be done for it, where the record says both."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    lines = str(exc).strip().splitlines() or [type(exc).__name__]
    cause = lines[0].strip()[:CAUSE_LENGTH]
    said = record.getMessage().strip().splitlines() if isinstance(record.msg, str) else []
    return said[0][: 2 * CAUSE_LENGTH] if said and cause in said[0] else cause


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]
