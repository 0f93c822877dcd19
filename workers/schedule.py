"""Beat's scheduler, which rings on when the clock is set back: Celery's would be silent for as long as the step."""

from __future__ import annotations

import time
from typing import Any

from celery.beat import PersistentScheduler

# The clock may be corrected by so many seconds a tick without being taken as set.
SLEW_SECONDS = 1.0


class SteadyScheduler(PersistentScheduler):
    """Forgets runs of the future, which the clock shows after it was set back, here or before this start."""

    _offset: float | None = None

    def tick(self, *args: Any, **kwargs: Any) -> float:
        # How far the clock is ahead of one that nobody can set: another figure than at the last tick means a step.
        offset = time.time() - time.monotonic()
        if self._offset is None or abs(offset - self._offset) > SLEW_SECONDS:
            self._forget_future_runs()
        self._offset = offset
        seconds: float = super().tick(*args, **kwargs)
        return seconds

    def _forget_future_runs(self) -> None:
        for entry in self.schedule.values():
            now = entry.default_now()
            if entry.last_run_at and entry.last_run_at > now:
                entry.last_run_at = now
        # Celery fills it again, by the clock as it is now.
        self._heap = None
