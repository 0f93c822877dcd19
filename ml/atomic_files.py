"""Files that are there whole or not at all, whenever the process that writes them is killed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any


@contextmanager
def whole_file(path: Path, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """Open a hidden neighbour of `path` for writing; it takes the name when the block ends without an exception."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open(mode, **options) as file:
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def remove_own(folder: Path, names: re.Pattern[str]) -> None:
    """Delete the files of these names, whole or in part, as far as it goes, and the folder if nothing else is in it."""
    with suppress(OSError):
        for path in folder.iterdir():
            if names.fullmatch(path.name) or names.fullmatch(path.name.removeprefix(".").removesuffix(".part")):
                path.unlink()
        folder.rmdir()


def fsync(path: Path) -> None:
    """Wait until a file, or a directory's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
