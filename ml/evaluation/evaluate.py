"""Judge models on labelled pictures, beside the floor they must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.folders.extraction import PictureEmbedder, Refusal
from ml.folders.photo_set import PhotoSet

from .bootstrap import LEVEL, RESAMPLES, SEED
from .confusion import Confusion, confusion
from .figures import by_chance, measured
from .histogram import ColourHistogram
from .metrics import Judged, judge
from .pictures import EvaluationError, Numbered, embedded, numbered
from .summary import Summary, summarise

AT_LEAST = 10
HISTOGRAM = ColourHistogram.version


@dataclass(frozen=True)
class Evaluation:
    """What one model found among the readable pictures, and what a histogram and chance find there."""

    model: str
    pictures: Numbered
    judged: Judged
    summary: Summary
    floor: dict[str, Summary]
    confusion: Confusion

    @property
    def columns(self) -> dict[str, Summary]:
        """What stands side by side in a table, by its heading."""
        return {self.model: self.summary, **self.floor}

    @property
    def refused(self) -> list[Refusal]:
        """Pictures that could not be read, with the reason; each once."""
        gallery = [] if self.pictures.gallery is None else self.pictures.gallery.refused
        return list(dict([*self.pictures.queries.refused, *gallery]).items())

    @property
    def alone(self) -> dict[str, int]:
        """How many queries of a class had nothing to find, where there are such."""
        names, counts = np.unique(self.judged.targets[self.judged.relevant == 0], return_counts=True)
        return {self.pictures.classes[name]: int(n) for name, n in zip(names, counts, strict=True)}

    def as_dict(self) -> dict[str, Any]:
        """The evaluation as JSON holds it; the figures at the top are means over queries."""
        return {
            "model": self.model,
            **self.summary.as_dict(),
            "per_class": self.summary.classes_as_dict(),
            "floor": {name: summary.as_dict() for name, summary in self.floor.items()},
            "confusion": self.confusion.as_dict(),
            "gallery": len(self.pictures.searched.photos),
            "leave_one_out": self.pictures.gallery is None,
            "nothing_to_find": self.alone,
            "unreadable": [{"image": str(path), "reason": reason} for path, reason in self.refused],
            "interval": {"level": LEVEL, "resamples": RESAMPLES, "seed": SEED},
        }


def evaluate(
    queries: PhotoSet, embedder: PictureEmbedder, *, gallery: PhotoSet | None = None, at_least: int = AT_LEAST
) -> Evaluation:
    """Search for every picture of `queries` in `gallery`, or among the others of `queries`.

    Args:
        at_least: queries a class needs to count in the macro average.

    Raises:
        EvaluationError: no picture can be read, or none has another of its class to find.
    """
    return evaluate_each(queries, {embedder.version: embedder}, gallery=gallery, at_least=at_least)[0]


def evaluate_each(
    queries: PhotoSet,
    embedders: Mapping[str, PictureEmbedder],
    *,
    gallery: PhotoSet | None = None,
    at_least: int = AT_LEAST,
) -> list[Evaluation]:
    """`evaluate` of several named embedders on the pictures that all of them could take."""
    every = {**embedders, HISTOGRAM: ColourHistogram()}
    pictures = numbered(embedded(queries, every), None if gallery is None else embedded(gallery, every))
    floor_judged = _judged(pictures, HISTOGRAM)
    if not floor_judged.relevant.any():
        raise EvaluationError("No picture has another of its class to find; classes need two pictures at least.")
    floor = {
        "histogram": summarise(measured(floor_judged), floor_judged.targets, pictures.classes, at_least),
        "chance": summarise(by_chance(floor_judged), floor_judged.targets, pictures.classes, at_least),
    }
    return [_evaluation(name, pictures, floor, at_least) for name in embedders]


def _evaluation(name: str, pictures: Numbered, floor: dict[str, Summary], at_least: int) -> Evaluation:
    judged = _judged(pictures, name)
    summary = summarise(measured(judged), judged.targets, pictures.classes, at_least)
    targets = pictures.searched.photos.targets(pictures.classes)
    return Evaluation(name, pictures, judged, summary, floor, confusion(judged, targets, pictures.classes))


def _judged(pictures: Numbered, name: str) -> Judged:
    queries, gallery = pictures.labelled(name)
    return judge(queries, gallery, own=pictures.own)
