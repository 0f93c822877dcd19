"""A child that cannot outlive its parent, however the parent ends."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies (Linux); call between fork and exec, or after fork."""
    if sys.platform != "linux":
        return
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # If the parent died before the kernel was asked, no signal ever comes, so this process ends itself.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
