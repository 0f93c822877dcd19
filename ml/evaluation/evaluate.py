"""Judge models on labelled pictures, beside the floor they must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ml.folders.extraction import PictureEmbedder, UnreadablePicture
from ml.folders.photo_set import PhotoSet
from ml.inference.calibration.calibration import Calibration
from ml.inference.calibration.reliability import Reliability, measure_reliability

from .bootstrap import LEVEL, RESAMPLES, SEED
from .confusion import Confusion, count_confusions
from .figures import expected_figures, measure_figures
from .histogram import HistogramEmbedder
from .metrics import Judged, judge_queries
from .pictures import EvaluationError, NumberedPictures, embed_pictures, pair_queries_with_gallery
from .seen import Seen
from .summary import Summary, summarise_figures

AT_LEAST = 10
HISTOGRAM = HistogramEmbedder.version


@dataclass(frozen=True)
class Evaluation:
    """What one model found among the readable pictures, and what a histogram, chance and others find there.

    `beside` are other models by name; `seen` says what is known of pictures that they have learned from;
    `reliability` how often the model's probabilities are right, where it has any.
    """

    model: str
    pictures: NumberedPictures
    judged: Judged
    summary: Summary
    floor: dict[str, Summary]
    confusion: Confusion
    beside: dict[str, Summary] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    reliability: Reliability | None = None

    @property
    def table_columns(self) -> dict[str, Summary]:
        """What stands side by side in a table, by its heading."""
        return {self.model: self.summary, **self.summaries_beside}

    @property
    def summaries_beside(self) -> dict[str, Summary]:
        """What the model is compared with, by its heading: other models, then the floor."""
        return {**self.beside, **self.floor}

    @property
    def refused_pictures(self) -> list[UnreadablePicture]:
        """Pictures that could not be read, with the reason; each once."""
        gallery = [] if self.pictures.gallery is None else self.pictures.gallery.refused
        return list({one.path: one for one in (*self.pictures.queries.refused, *gallery)}.values())

    @property
    def unanswerable_queries_by_class(self) -> dict[str, int]:
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
            "beside": {name: summary.as_dict() for name, summary in self.beside.items()},
            "trained_photos": {one.model: one.as_dict() for one in self.seen},
            "calibration": self.reliability and self.reliability.as_dict(),
            "confusion": self.confusion.as_dict(),
            "gallery": len(self.pictures.searched_pictures.photos),
            "leave_one_out": self.pictures.gallery is None,
            "nothing_to_find": self.unanswerable_queries_by_class,
            "unreadable": [{"image": str(path), "reason": reason} for path, reason in self.refused_pictures],
            "interval": {"level": LEVEL, "resamples": RESAMPLES, "seed": SEED},
        }


def evaluate_model(
    queries: PhotoSet, embedder: PictureEmbedder, *, gallery: PhotoSet | None = None, at_least: int = AT_LEAST
) -> Evaluation:
    """Search for every picture of `queries` in `gallery`, or among the others of `queries`.

    Args:
        at_least: queries a class needs to count in the macro average.

    Raises:
        EvaluationError: no picture can be read, or none has another of its class to find.
    """
    return evaluate_models(queries, {embedder.version: embedder}, gallery=gallery, at_least=at_least)[0]


def evaluate_beside(
    queries: PhotoSet,
    embedders: Mapping[str, PictureEmbedder],
    *,
    gallery: PhotoSet | None = None,
    at_least: int = AT_LEAST,
) -> Evaluation:
    """`evaluate_model` of the first of several named embedders, with the figures of the others beside its own."""
    first, *others = evaluate_models(queries, embedders, gallery=gallery, at_least=at_least)
    return replace(first, beside={other.model: other.summary for other in others})


def evaluate_models(
    queries: PhotoSet,
    embedders: Mapping[str, PictureEmbedder],
    *,
    gallery: PhotoSet | None = None,
    at_least: int = AT_LEAST,
) -> list[Evaluation]:
    """`evaluate_model` of several named embedders on the pictures that all of them could take."""
    every = {**embedders, HISTOGRAM: HistogramEmbedder()}
    pictures = pair_queries_with_gallery(
        embed_pictures(queries, every), None if gallery is None else embed_pictures(gallery, every)
    )
    floor_judged = _judge_pictures(pictures, HISTOGRAM)
    if not floor_judged.relevant.any():
        raise EvaluationError("No picture has another of its class to find; classes need two pictures at least.")
    floor = {
        "histogram": summarise_figures(measure_figures(floor_judged), floor_judged.targets, pictures.classes, at_least),
        "chance": summarise_figures(expected_figures(floor_judged), floor_judged.targets, pictures.classes, at_least),
    }
    return [_evaluate_named_embedder(name, pictures, floor, at_least) for name in embedders]


def _evaluate_named_embedder(
    name: str, pictures: NumberedPictures, floor: dict[str, Summary], at_least: int
) -> Evaluation:
    judged = _judge_pictures(pictures, name)
    summary = summarise_figures(measure_figures(judged), judged.targets, pictures.classes, at_least)
    targets = pictures.searched_pictures.photos.targets(pictures.classes)
    return Evaluation(name, pictures, judged, summary, floor, count_confusions(judged, targets, pictures.classes))


def _judge_pictures(pictures: NumberedPictures, name: str) -> Judged:
    queries, gallery = pictures.label_vectors(name)
    return judge_queries(queries, gallery, own=pictures.own)


def judge_probabilities(evaluation: Evaluation, curve: Calibration) -> Evaluation:
    """The evaluation with how often a curve's probabilities are right, on pairs of its queries.

    Raises:
        CalibrationError: the curve is of vectors of another length.
    """
    queries = evaluation.pictures.queries
    labels, groups = queries.photos.labels, queries.photos.groups or ()
    named = [group or f"alone {place}" for place, group in enumerate(groups)]
    vectors = queries.vectors[evaluation.model]
    return replace(evaluation, reliability=measure_reliability(curve, vectors, labels, named))
