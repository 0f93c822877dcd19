"""Files and folders that are there whole or not at all, whenever the process that writes them is killed."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

UNFINISHED_SUFFIX = ".part"


@contextmanager
def open_atomic_file(path: Path, *, survives_power_cut: bool = False) -> Iterator[BinaryIO]:
    """Open a hidden neighbour of `path` for writing; it takes the name when the block ends without an exception.

    Without `survives_power_cut`, a machine that loses its power soon after may be left with an empty file.
    """
    with _replace_file_at_end(path) as part, part.open("wb") as file:
        yield file
        if survives_power_cut:
            # fsync reaches only what the system has of the file, and Python may still hold the last bytes in a buffer.
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def open_atomic_text(path: Path, *, newline: str | None = None, errors: str = "strict") -> Iterator[TextIO]:
    """Open a hidden neighbour of `path` for writing text in UTF-8, as `open_atomic_file` does bytes."""
    with _replace_file_at_end(path) as part, part.open("w", encoding="utf-8", newline=newline, errors=errors) as file:
        yield file


@contextmanager
def make_temporary_folder_beside(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path`, for this process alone, to prepare what will be there.

    It is removed at the end with all that was not moved out of it; it may be moved itself.
    """
    beside = tempfile.TemporaryDirectory(
        prefix=f".{path.name}.", suffix=UNFINISHED_SUFFIX, dir=path.parent, ignore_cleanup_errors=True
    )
    with beside as folder:
        yield Path(folder)


def put_folder_in_place(folder: Path, place: Path) -> None:
    """Rename a folder whose files are on the disk; whatever a power cut leaves is all of it or nothing."""
    # The new name, which stands in the parent's list, could reach the disk before the folder's own list of files does.
    sync_to_disk(folder)
    folder.rename(place)
    sync_to_disk(place.parent)


def write_and_sync_file(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk. Until then it may be there in part."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    # Opened for reading, because a folder cannot be opened in any other way; fsync takes such a descriptor too.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_files_and_empty_folder(folder: Path, names: re.Pattern[str]) -> None:
    """Delete the files of these names, also unfinished ones, as far as it goes, and the folder if it is empty then."""
    with suppress(OSError):
        for path in folder.iterdir():
            finished_name = path.name.removeprefix(".").removesuffix(UNFINISHED_SUFFIX)
            if names.fullmatch(path.name) or names.fullmatch(finished_name):
                path.unlink()
        folder.rmdir()


@contextmanager
def _replace_file_at_end(path: Path) -> Iterator[Path]:
    # The part lies in the same folder, because a rename replaces a file in one step only within one file system.
    part = path.with_name(f".{path.name}{UNFINISHED_SUFFIX}")
    try:
        yield part
        part.replace(path)
    except BaseException:  # Ctrl-C raises KeyboardInterrupt, which is no Exception
        part.unlink(missing_ok=True)
        raise
