"""How long failed work waits for its next try."""

from __future__ import annotations

import math
import time

RETRY_SECONDS = 600


class RetryPause:
    """The time after a failure in which the same work is not tried again, because it would probably fail again."""

    def __init__(self) -> None:
        self._failed_at = -math.inf

    @property
    def is_on(self) -> bool:
        return time.monotonic() < self._failed_at + RETRY_SECONDS

    def begin(self) -> None:
        self._failed_at = time.monotonic()
