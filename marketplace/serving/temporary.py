"""Files of requests on their way: in a folder of each web process, which goes with it however it ends.

A killed process deletes nothing. Its folder is locked for as long as it lives, so what is not locked is left over.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path


def use_own_folder(root: Path) -> int:
    """Have this process keep its temporary files below `root`; the descriptor holds the lock."""
    folder, lock = root / f"web-{os.getpid()}", None
    # Until it is locked, the process that starts this one may take the folder for left over and delete it.
    while lock is None or not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
    tempfile.tempdir = str(folder)
    return lock


def delete_left_folders(root: Path) -> None:
    for folder in root.glob("web-*"):
        lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        # Its process lives.
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
