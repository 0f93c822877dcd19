"""Directories that appear complete or not at all: written under another name, fsynced, then renamed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml.atomic_files import UNFINISHED_SUFFIX, put_folder_in_place
from recommender.index.errors import SnapshotDamaged, SnapshotUnreadable

# The process lacks descriptors, memory or rights. The file itself may be intact, so it is not called damaged.
PROCESS_ERRNOS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EACCES, errno.EPERM}


@contextmanager
def write_directory_atomically(directory: Path) -> Iterator[Path]:
    """Yield a directory to write to, which is renamed to `directory` at the end, or removed where anything fails.

    It is locked meanwhile, so an unfinished one without a lock (`is_abandoned`) is that of a killed writer.
    """
    part = directory.with_name(directory.name + UNFINISHED_SUFFIX)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with _hold_lock(part, fcntl.LOCK_EX):
            yield part
            put_folder_in_place(part, directory)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def is_abandoned(directory: Path) -> bool:
    """True if the directory is unfinished and its writer is gone. Raises: OSError where it cannot be opened."""
    if not directory.name.endswith(UNFINISHED_SUFFIX):
        return False
    try:
        with _hold_lock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
    except BlockingIOError:
        return False


@contextmanager
def _hold_lock(directory: Path, how: int) -> Iterator[None]:
    """Hold a lock on the directory; the kernel releases it if the process dies.

    Raises: OSError; BlockingIOError where another process holds it and `how` says not to wait.
    """
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)


def read_checked_json(path: Path, keys: set[str]) -> dict[str, object]:
    """Read a manifest and check that it has these keys. Raises: SnapshotDamaged naming the file."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as exc:
        raise make_damage_error(f"{path} cannot be read: {exc}", exc) from exc
    if not isinstance(content, dict) or not keys <= content.keys():
        raise SnapshotDamaged(f"{path} cannot be read: it is no manifest")
    return content


def make_damage_error(message: str, exc: Exception) -> SnapshotDamaged:
    """The error for a file that could not be opened: SnapshotUnreadable where the process is to blame."""
    of_process = isinstance(exc, MemoryError) or (isinstance(exc, OSError) and exc.errno in PROCESS_ERRNOS)
    return SnapshotUnreadable(message) if of_process else SnapshotDamaged(message)
