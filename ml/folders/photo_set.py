"""A folder of pictures and a CSV that labels them: what is trained on, extracted and evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.catalogue.cells import EDGES
from ml.catalogue.encodings import CatalogueError
from ml.catalogue.records import BrokenRecord, CsvFile
from ml.errors import MlError

Ints = npt.NDArray[np.int64]


class PhotoSetError(MlError):
    """A CSV of labelled pictures cannot be used; the message names the file, the line and what to change."""


@dataclass(frozen=True)
class PhotoSet:
    """N pictures with a class each, and optionally a group (pictures of one item, or by one sender)."""

    images: tuple[Path, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> list[str]:
        """The names of the classes, sorted."""
        return sorted(set(self.labels))

    def targets(self, classes: Sequence[str] | None = None) -> Ints:
        """int64[N]: each picture's class as a position in `classes` (its own, sorted, when None)."""
        number = {name: i for i, name in enumerate(classes or self.classes)}
        return np.array([number[label] for label in self.labels], np.int64)

    def subset(self, keep: Sequence[int] | Ints) -> PhotoSet:
        """The pictures at these positions, in this order."""
        groups = None if self.groups is None else tuple(self.groups[i] for i in keep)
        return PhotoSet(tuple(self.images[i] for i in keep), tuple(self.labels[i] for i in keep), groups)


def read_photo_set(
    table: str | Path, folder: str | Path | None = None, *, group: str = "group", there: bool = True
) -> PhotoSet:
    """Read `image,label[,group]`; paths are relative to `folder` (the CSV's own when None).

    Raises:
        PhotoSetError: the file or a column is missing, it is no CSV, or, unless `there` is False, a line names a
            picture that is not there.
    """
    table = Path(table)
    folder = table.parent if folder is None else Path(folder)
    images, labels, groups = [], [], []
    try:
        with CsvFile(table, ("image", "label")) as file:
            grouped = group.lower() in file.columns
            for row in file:
                if isinstance(row, BrokenRecord):
                    raise PhotoSetError(f"{table}, line {row.line}: {row.reason}.")
                # Space around a label, seen or not, would make a class of its own.
                path, label = folder / row.cells["image"], row.cells["label"].strip(EDGES)
                if not row.cells["image"] or not label:
                    raise PhotoSetError(f"{table}, line {row.line}: image or label is empty.")
                if there and not path.is_file():
                    raise PhotoSetError(f"{table}, line {row.line}: there is no picture {path}.")
                images.append(path)
                labels.append(label)
                groups.append(row.cells[group.lower()] if grouped else "")
    except CatalogueError as exc:
        raise PhotoSetError(str(exc)) from exc
    if not images:
        raise PhotoSetError(f"{table} lists no pictures.")
    return PhotoSet(tuple(images), tuple(labels), tuple(groups) if grouped else None)
