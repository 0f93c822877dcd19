"""Everyday objects, no photo of which was trained on: 30 of the 101 kinds of Caltech-101."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml.evaluation.evaluate import evaluate_model
from ml.folders.extraction import PictureEmbedder
from ml.folders.photo_set import PhotoSet
from ml.starter.photo_sets.sources import read_judged_kinds

from .intervals import round_summary


def measure_objects(embedder: PictureEmbedder, objects: Path) -> dict[str, Any]:
    """Does an object find others of its kind, each searched for among all others, and how often better than by colours?

    `per_class` has the mAP@R of each kind beside that of the histogram, those first in which the model leads by least.
    """
    evaluation = evaluate_model(read_objects(objects), embedder)
    ours, floor = evaluation.summary.per_class, evaluation.floor["histogram"].per_class
    pairs = {name: (ours[name]["map_at_r"].mean, floor[name]["map_at_r"].mean) for name in ours}
    closest_first = sorted(pairs, key=lambda name: pairs[name][0] - pairs[name][1])
    return {
        "n": evaluation.summary.micro.n,
        **{name: round_summary(summary) for name, summary in {"model": evaluation.summary, **evaluation.floor}.items()},
        "kinds above the histogram": sum(model > histogram for model, histogram in pairs.values()),
        "kinds": len(pairs),
        "per_class": {name: [round(value, 3) for value in pairs[name]] for name in closest_first},
    }


def read_objects(folder: Path) -> PhotoSet:
    """The photos of the kinds that are judged, from `folder`/KIND/*.jpg.

    Raises:
        SystemExit: a kind is missing; the sentence names it.
    """
    kinds = read_judged_kinds()
    photos = [(path, kind) for kind in kinds for path in sorted((folder / kind).glob("*.jpg"))]
    if missing := sorted(set(kinds) - {kind for _, kind in photos}):
        raise SystemExit(f"quality: {folder} has no photos of {missing[0]}; name the folder of Caltech-101's kinds.")
    return PhotoSet(tuple(path for path, _ in photos), tuple(kind for _, kind in photos))
