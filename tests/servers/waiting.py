"""Waiting for what other threads do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    """Return once the condition is true; fail after so long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(0.005)


def runs_thread(name: str) -> bool:
    """Whether a thread of this name, or one whose name begins with it, is alive."""
    return any(thread.name.startswith(name) for thread in threading.enumerate())
