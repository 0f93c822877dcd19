"""The end of a worker process that does one thing for too long.

A decoder that hangs cannot be interrupted from inside. So the process ends, the lease expires, and the rows are retried
alone.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

from .micro_batch import Activity

logger = logging.getLogger(__name__)

TICK = 0.25
EXIT_CODE = 70
LAST_WORDS_SECONDS = 2.0


def start_watchdog(activity: Activity) -> threading.Thread:
    """Start the thread that ends this process when a micro-batch runs past its lease."""
    thread = threading.Thread(target=_end_process_when_overdue, args=(activity,), name="watchdog", daemon=True)
    thread.start()
    return thread


class RunningTime:
    """How long the same micro-batch has been running, by a clock that stands still while the process is stopped."""

    def __init__(self, now: float) -> None:
        self._before, self._spent = now, 0.0
        self._seen: object | None = None

    def measure_seconds(self, current: object | None, now: float) -> float:
        """The seconds that `current` has been running; to be called once a tick."""
        # A tick that took longer than two counts as two: the process was suspended meanwhile, which is no hang.
        step, self._before = min(now - self._before, 2 * TICK), now
        self._spent = self._spent + step if current is not None and current is self._seen else 0.0
        self._seen = current
        return self._spent


def _end_process_when_overdue(activity: Activity) -> None:
    clock = RunningTime(time.monotonic())
    while True:
        time.sleep(TICK)
        current = activity.current_limit_and_photos
        spent = clock.measure_seconds(current, time.monotonic())
        if current is not None and spent > current[0]:
            # On a thread of its own, because a log that nobody reads may take no line.
            last_words = threading.Thread(target=_log_overdue, args=current, daemon=True)
            last_words.start()
            last_words.join(LAST_WORDS_SECONDS)
            # `sys.exit` would end this thread alone, and an orderly end of the process would wait for the thread that
            # hangs.
            os._exit(EXIT_CODE)


def _log_overdue(seconds: float, list_photos: Callable[[], Sequence[int]]) -> None:
    photos = ", ".join(str(pk) for pk in list_photos())
    logger.critical("Photos %s took longer than %g s to read; this worker ends now.", photos, seconds)
    logging.shutdown()
