"""Files that are born whole: written beside, fsynced with their directory, then renamed; half of one is never seen."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml.atomic_files import fsync
from recommender.index.errors import SnapshotDamaged, SnapshotUnreadable

HALF = ".part"
OF_PROCESS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EACCES, errno.EPERM}


@contextmanager
def born_whole(directory: Path) -> Iterator[Path]:
    """A place beside `directory` to write its files to; it becomes `directory` at the end, or nothing is left. It is
    locked meanwhile: only a writer that was killed leaves a half that `is_abandoned`."""
    part = directory.with_name(directory.name + HALF)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with _locked(part, fcntl.LOCK_EX):
            yield part
            fsync(part)
            part.rename(directory)
            fsync(directory.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def is_abandoned(directory: Path) -> bool:
    """Whether it is half of one, and nobody writes the rest. Raises: OSError where it cannot be opened."""
    if not directory.name.endswith(HALF):
        return False
    try:
        with _locked(directory, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
    except BlockingIOError:
        return False


@contextmanager
def _locked(directory: Path, how: int) -> Iterator[None]:
    """Until the end, or that of the process. Raises: OSError, BlockingIOError where somebody else holds the lock."""
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)


def read_json(path: Path, keys: set[str]) -> dict[str, Any]:
    """A manifest that has these keys. Raises: SnapshotDamaged naming the file."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as exc:
        raise fault(f"{path} cannot be read: {exc}", exc) from exc
    if not isinstance(content, dict) or not keys <= content.keys():
        raise SnapshotDamaged(f"{path} cannot be read: it is no manifest")
    return content


def fault(message: str, exc: Exception) -> SnapshotDamaged:
    """What it means that a file could not be opened: it is damaged, or this process can open none like it now."""
    of_process = isinstance(exc, MemoryError) or (isinstance(exc, OSError) and exc.errno in OF_PROCESS)
    return SnapshotUnreadable(message) if of_process else SnapshotDamaged(message)


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
