"""What the embedding worker is doing now, and the end of a process that does it for too long.

A decoder that hangs cannot be interrupted from inside; the process ends, the lease expires, and the rows are retried
alone.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

logger = logging.getLogger(__name__)

TICK = 0.25
EXIT_CODE = 70


class Watch:
    """The current micro-batch, written by the drain, read by the watchdog and the heartbeat."""

    def __init__(self) -> None:
        self._current: tuple[float, Callable[[], Sequence[int]]] | None = None
        self.note = ""

    def begin(self, seconds: float, photos: Callable[[], Sequence[int]]) -> None:
        """A micro-batch has `seconds` from now; `photos` names those it still waits for."""
        self._current = (seconds, photos)

    def end(self) -> None:
        self._current = None

    @property
    def current(self) -> tuple[float, Callable[[], Sequence[int]]] | None:
        return self._current

    def describe(self) -> dict[str, Any]:
        return {"doing": "embedding" if self._current else "waiting", "note": self.note}


def guard(watch: Watch) -> threading.Thread:
    """Start the thread that ends this process when a micro-batch runs past its lease."""
    thread = threading.Thread(target=_guard, args=(watch,), name="watchdog", daemon=True)
    thread.start()
    return thread


class RunningTime:
    """How long the same micro-batch has been running, by a clock that stands still while the process is stopped."""

    def __init__(self, now: float) -> None:
        self._before, self._spent = now, 0.0
        self._seen: object | None = None

    def of(self, current: object | None, now: float) -> float:
        """Seconds; call it once a tick. A process that was stopped and continued did not hang."""
        step, self._before = min(now - self._before, 2 * TICK), now
        self._spent = self._spent + step if current is not None and current is self._seen else 0.0
        self._seen = current
        return self._spent


def _guard(watch: Watch) -> None:
    clock = RunningTime(time.monotonic())
    while True:
        time.sleep(TICK)
        current = watch.current
        spent = clock.of(current, time.monotonic())
        if current is not None and spent > current[0]:
            photos = ", ".join(str(pk) for pk in current[1]())
            logger.critical("Photos %s took longer than %g s to read; this worker ends now.", photos, current[0])
            logging.shutdown()
            os._exit(EXIT_CODE)
