"""Which file belongs to a row of a catalogue's table of images: its id is a file's name, with or without suffix."""

from __future__ import annotations

import os
from pathlib import Path

from .cells import normalise_name, remove_invisible
from .encodings import CatalogueError

# In this order where several files differ in their suffix alone. The last ones are found so that whoever decodes can
# say that it does not take them.
PICTURE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".jpe", ".jfif", ".gif", ".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp"
)  # fmt: skip


class PictureFiles:
    """The pictures of one folder by name, listed once: a folder may hold more files than could be asked for one by one.

    The case of a suffix says nothing, and letters such as é are the same in either of their spellings. The case of the
    name before it counts, on every file system, because ids may differ in case alone.
    """

    def __init__(self, folder: Path) -> None:
        """List the folder.

        Raises:
            OSError: it cannot be listed.
        """
        self.folder = folder
        self._names: dict[str, str] = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                key = _make_key(entry.name)
                # Of names that differ in what says nothing the last by sorting is taken, whatever their order on disk.
                if key.endswith(PICTURE_SUFFIXES) and entry.is_file() and entry.name > self._names.get(key, ""):
                    self._names[key] = entry.name

    def find(self, name: str) -> Path | None:
        """The file of exactly this name, or else the first with one of the suffixes behind it."""
        found = (self._names.get(_make_key(f"{name}{suffix}")) for suffix in ("", *PICTURE_SUFFIXES))
        return next((self.folder / file for file in found if file), None)

    def find_converted(self, name: str) -> Path | None:
        """The file of this name in a folder whose pictures were all written again with another suffix."""
        found = self.find(name)
        if found is None and name.lower().endswith(PICTURE_SUFFIXES):
            found = self.find(name.rpartition(".")[0])
        return found


def list_pictures(folder: Path, advice: str = "") -> PictureFiles:
    """The pictures of a catalogue's folder; `advice` says what to do where it is none.

    Raises:
        CatalogueError: it is no folder, or cannot be listed.
    """
    if not folder.is_dir():
        raise CatalogueError(f"{folder} is not a folder{advice}.")
    try:
        return PictureFiles(folder)
    except OSError as exc:
        raise CatalogueError(f"{folder} cannot be listed: {exc.strerror}.") from exc


def name_expected_file(name: str) -> str:
    """How the file of this name is spoken of when it is not there."""
    return name if name.lower().endswith(PICTURE_SUFFIXES) else f"{name}{PICTURE_SUFFIXES[0]}"


def _make_key(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{normalise_name(remove_invisible(stem))}{dot}{suffix.lower()}" if dot else name
