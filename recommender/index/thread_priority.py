"""Threads that work beside requests."""

from __future__ import annotations

import os
import sys
import threading

NICENESS = 10


def give_way() -> None:
    """From now on this thread, and threads it starts, compute when nothing else on the machine wants to."""
    if sys.platform == "linux":  # elsewhere it would be the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
