"""Which file each picture of a clean folder was made of, so that none stays whose file is gone, replaced or refused.

Only pictures that the list names are ever removed. It is written before the first picture and after the last; the
first time without names that are taken already, by a file that may be of somebody else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ml.atomic_files import open_atomic_text

SOURCES = "clean-sources.json"


@dataclass(frozen=True)
class Source:
    """A file below a folder, and how many bytes it has."""

    folder: str
    file: str
    size: int

    @classmethod
    def stat_file(cls, folder: Path, file: PurePosixPath) -> Source:
        """The file as it is now; one that is gone already has no bytes."""
        try:
            size = (folder / file).stat().st_size
        except OSError:
            size = 0
        return cls(str(folder.resolve()), str(file), size)

    def is_same_file(self, other: Source) -> bool:
        """Whether they are one file, wherever its folder was moved."""
        return (self.file, self.size) == (other.file, other.size)


class Sources:
    """The source of each picture below `target`, by the picture's name."""

    def __init__(self, target: Path) -> None:
        """Read the list.

        Raises:
            OSError, ValueError: it is no such list, or cannot be read.
        """
        self._target, self._path = target, target / SOURCES
        self._of: dict[str, Source] = {}
        if self._path.exists():
            try:
                self._of = {name: Source(*fields) for name, fields in json.loads(self._path.read_text()).items()}
            except (AttributeError, TypeError) as exc:
                raise ValueError("it is no list of sources") from exc

    def reconcile_pictures(self, folder: Path, wanted: Mapping[PurePosixPath, Source]) -> int:
        """Remove pictures of `folder` whose file is gone and those that another file replaces; how many of the first.

        Pictures of other folders stay: one clean folder may be filled from several.
        """
        here = str(folder.resolve())
        gone = [
            name for name, source in self._of.items() if source.folder == here and PurePosixPath(name) not in wanted
        ]
        for name in gone:
            self.remove_picture(name)
        for path, source in wanted.items():
            name = str(path)
            if name in self._of and not self._of[name].is_same_file(source):
                self.remove_picture(name)
            if name in self._of or not os.path.lexists(self._target / name):
                self._of[name] = source
        self._write_list()
        return len(gone)

    def record_sources(self, made: Mapping[PurePosixPath, Source]) -> None:
        """Remember what these pictures were made of."""
        self._of |= {str(name): source for name, source in made.items()}
        self._write_list()

    def remove_picture(self, name: str) -> None:
        """Delete a picture if the list names it; never anything outside the folder, whatever the list says."""
        path = self._target / name
        if self._of.pop(name, None) and path.parent.resolve().is_relative_to(self._target.resolve()):
            path.unlink(missing_ok=True)

    def _write_list(self) -> None:
        listed = {name: (source.folder, source.file, source.size) for name, source in sorted(self._of.items())}
        with open_atomic_text(self._path) as file:
            json.dump(listed, file)
            file.write("\n")
