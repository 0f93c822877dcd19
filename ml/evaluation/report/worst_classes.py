"""The classes that a model finds worst, beside what colours alone find of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ml.evaluation.figures import MAIN
from ml.evaluation.summary import Means, Summary

MOST_ROWS = 400


@dataclass(frozen=True)
class ClassRow:
    """The figures of a class, the main one of the histogram, and that of everything beside the model."""

    name: str
    means: Means
    floor: float
    beside: list[float]


def list_worst_classes(summary: Summary, beside: Mapping[str, Summary]) -> list[ClassRow]:
    """The classes with the lowest mAP@R first, `MOST_ROWS` at most; `beside` has at least the histogram."""
    rows = []
    for name, means in summary.worst_classes_first()[:MOST_ROWS]:
        others = {other: column.per_class[name][MAIN].mean for other, column in beside.items()}
        rows.append(ClassRow(name, means, others["histogram"], list(others.values())))
    return rows
