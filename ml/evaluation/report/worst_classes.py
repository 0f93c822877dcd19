"""The classes that a model finds worst, beside what colours alone find of them."""

from __future__ import annotations

from dataclasses import dataclass

from ml.evaluation.figures import MAIN
from ml.evaluation.summary import Means, Summary

MOST_ROWS = 400


@dataclass(frozen=True)
class ClassRow:
    """The figures of a class, and the main one of the floor."""

    name: str
    means: Means
    floor: float


def list_worst_classes(summary: Summary, floor: Summary) -> list[ClassRow]:
    """The classes with the lowest mAP@R first, `MOST_ROWS` at most."""
    worst_first = sorted(summary.per_class.items(), key=lambda item: item[1][MAIN].mean)
    return [ClassRow(name, means, floor.per_class[name][MAIN].mean) for name, means in worst_first[:MOST_ROWS]]
