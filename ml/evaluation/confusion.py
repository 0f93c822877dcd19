"""Which class is taken for which: the class of a query beside the class of the first picture it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .metrics import Judged

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Confusion:
    """`counts[i, j]`: int64[C, C], queries of class i whose first result is of class j."""

    classes: list[str]
    counts: Ints

    def as_dict(self) -> dict[str, dict[str, int]]:
        """`{class: {class of the first result: queries}}`, without zeros."""
        return {
            name: {self.classes[j]: int(row[j]) for j in np.flatnonzero(row)}
            for name, row in zip(self.classes, self.counts, strict=True)
            if row.any()
        }

    def mistakes(self, most: int) -> list[tuple[str, str, int]]:
        """The most frequent confusions: class, what it is taken for, how often."""
        wrong = self.counts - np.diag(np.diag(self.counts))
        order = np.argsort(-wrong.ravel(), kind="stable")[:most]
        pairs = [divmod(int(cell), len(self.classes)) for cell in order if wrong.ravel()[cell]]
        return [(self.classes[i], self.classes[j], int(wrong[i, j])) for i, j in pairs]

    def most_confused(self, most: int) -> Confusion:
        """The part among the classes with the most mistakes made from or towards them, in their old order."""
        wrong = self.counts - np.diag(np.diag(self.counts))
        keep = np.sort(np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1)), kind="stable")[:most])
        return Confusion([self.classes[i] for i in keep], self.counts[np.ix_(keep, keep)])


def confusion(judged: Judged, gallery_targets: Ints, classes: Sequence[str]) -> Confusion:
    """Count the first results of queries that had something to find."""
    counted = judged.relevant > 0
    first = gallery_targets[judged.found[counted, 0]]
    cells = np.bincount(judged.targets[counted] * len(classes) + first, minlength=len(classes) ** 2)
    return Confusion(list(classes), cells.reshape(len(classes), len(classes)))
