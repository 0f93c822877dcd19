"""Files of requests on their way: in a folder of each web process, which goes with it however it ends.

A killed process deletes nothing. Its folder is locked for as long as it lives, so what is not locked is left over.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from marketplace.paths import find_temporary_directory

logger = logging.getLogger(__name__)


def use_own_folder(root: Path) -> int | None:
    """Have this process keep its temporary files below `root`; the descriptor holds the lock.

    On a full disk the process starts all the same, because gunicorn ends the site when one does not.
    """
    try:
        lock, folder = _lock_own_folder(root)
    except OSError as exc:
        lock, folder = None, find_temporary_directory()
        logger.error("files on their way are kept in %s: nothing can be made in %s (%s)", folder, root, exc)
    tempfile.tempdir = folder
    return lock


def _lock_own_folder(root: Path) -> tuple[int, str]:
    folder, lock = root / f"web-{os.getpid()}", None
    # Until it is locked, the process that starts this one may take the folder for left over and delete it.
    while lock is None or not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
    return lock, str(folder)


def delete_left_folders(root: Path) -> None:
    """What a disk does not give now is left for the next time: gunicorn's first process calls this, and must go on."""
    with suppress(OSError):
        for folder in root.glob("web-*"):
            _delete_if_left(folder)


def _delete_if_left(folder: Path) -> None:
    with suppress(OSError):
        lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Refused while its process lives.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
