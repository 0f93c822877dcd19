"""Beat's scheduler, which rings on when the clock is set back, where Celery's would be silent for as long as the step,
and when the disk is full, where Celery's would end."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery.beat import Scheduler

# The clock may be corrected by so many seconds a tick without being taken as set.
SLEW_SECONDS = 1.0
# The index is compacted an interval later, when the processes that start at the same time have read it.
AT_START = ("sweep", "collect")


class SteadyScheduler(Scheduler):
    """Forgets runs of the future, which the clock shows after it was set back, and keeps those of the past in memory
    alone: at its start it rings the repairs, because whatever ended it may have ended workers too."""

    _offset: float | None = None

    def __init__(self, *args: Any, schedule_filename: str | None = None, **kwargs: Any) -> None:
        self._sign_of_life = Path(schedule_filename) if schedule_filename else None
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for name, entry in self.schedule.items():
            if name in AT_START:
                entry.last_run_at = entry.default_now() - timedelta(days=1)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        # How far the clock is ahead of one that nobody can set: another figure than at the last tick means a step.
        offset = time.time() - time.monotonic()
        if self._offset is None or abs(offset - self._offset) > SLEW_SECONDS:
            self._forget_future_runs()
        self._offset = offset
        seconds: float = super().tick(*args, **kwargs)
        return seconds

    def sync(self) -> None:
        """Celery calls this every three minutes: whoever watches beat looks when its file was touched last."""
        if self._sign_of_life:
            with suppress(OSError):
                self._sign_of_life.touch()

    def _forget_future_runs(self) -> None:
        for entry in self.schedule.values():
            now = entry.default_now()
            if entry.last_run_at and entry.last_run_at > now:
                entry.last_run_at = now
        # Celery fills it again, by the clock as it is now.
        self._heap = None
