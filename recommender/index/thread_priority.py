"""What a background thread of a process that answers requests does first, so that requests do not wait for it."""

from __future__ import annotations

import os
import sys
import threading

NICENESS = 10


def lower_priority() -> None:
    """Let this thread, and the threads it starts, run only when nothing else on the machine wants the processor."""
    # Only Linux has a niceness per thread. Elsewhere the thread's id would be taken for that of another process.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def limit_faiss_to_one_core() -> None:
    """Let FAISS use one core for what this thread computes; other threads keep theirs."""
    import faiss

    faiss.omp_set_num_threads(1)
