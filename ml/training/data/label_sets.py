"""Pictures that several label sets say something of: a garment its type and its colour, another picture nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.catalogue.cells import EDGES
from ml.catalogue.encodings import CatalogueError
from ml.catalogue.records import BrokenRecord, CsvFile
from ml.folders.photo_set import PhotoSet, PhotoSetError

Ints = npt.NDArray[np.int64]

COLUMNS = ("image", "label set", "label")
UNLABELLED = -1


@dataclass(frozen=True)
class LabelSet:
    """What one set of labels says of N pictures: `targets`, int64[N], are positions in `classes` or `UNLABELLED`."""

    name: str
    classes: tuple[str, ...]
    targets: Ints


@dataclass(frozen=True)
class LabelledPictures:
    """N pictures, and the label sets that some of them have a label in."""

    images: tuple[Path, ...]
    label_sets: tuple[LabelSet, ...]

    @property
    def kinds(self) -> PhotoSet:
        """The pictures, each labelled with the names of the label sets that know it, as `colours+types`."""
        known = np.array([one.targets != UNLABELLED for one in self.label_sets], bool).reshape(-1, len(self.images))
        names = np.array([one.name for one in self.label_sets], str)
        return PhotoSet(self.images, tuple("+".join(names[column]) for column in known.T))


def read_labelled_pictures(table: Path, folder: Path | None = None, *, there: bool = True) -> LabelledPictures:
    """Read `image,label set,label`, a row for each label; a picture without labels has a row in which both are empty.

    Paths are relative to `folder` (the CSV's own when None).

    Raises:
        PhotoSetError: the file or a column is missing, it is no CSV, a picture has two labels of one set, or, unless
            `there` is False, a line names a picture that is not there.
    """
    folder = table.parent if folder is None else folder
    labels: dict[Path, dict[str, str]] = {}
    try:
        with CsvFile(table, COLUMNS) as file:
            for row in file:
                if isinstance(row, BrokenRecord):
                    raise PhotoSetError(f"{table}, line {row.line}: {row.reason}.")
                image, name, label = (row.cells[column].strip(EDGES) for column in COLUMNS)
                known = labels.setdefault(folder / image, {})
                if not image or bool(name) != bool(label):
                    raise PhotoSetError(f"{table}, line {row.line}: image, label set or label is empty.")
                if known.get(name, label) != label:
                    raise PhotoSetError(f"{table}, line {row.line}: {image} has two labels of {name!r}.")
                if name:
                    known[name] = label
    except CatalogueError as exc:
        raise PhotoSetError(str(exc)) from exc
    if not labels:
        raise PhotoSetError(f"{table} lists no pictures.")
    if there and (missing := next((path for path in labels if not path.is_file()), None)):
        raise PhotoSetError(f"{table}: there is no picture {missing}.")
    return LabelledPictures(tuple(labels), _number_labels(list(labels.values())))


def has_label_sets(table: Path) -> bool:
    """Return whether the first line of `table` names a column `label set`."""
    try:
        with CsvFile(table, ("image",)) as file:
            return COLUMNS[1] in file.columns
    except CatalogueError as exc:
        raise PhotoSetError(str(exc)) from exc


def _number_labels(labels: Sequence[dict[str, str]]) -> tuple[LabelSet, ...]:
    sets = []
    for name in sorted({name for known in labels for name in known}):
        classes = sorted({known[name] for known in labels if name in known})
        number = {label: i for i, label in enumerate(classes)}
        targets = [number[known[name]] if name in known else UNLABELLED for known in labels]
        sets.append(LabelSet(name, tuple(classes), np.array(targets, np.int64)))
    return tuple(sets)
