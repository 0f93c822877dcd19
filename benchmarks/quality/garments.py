"""Garments of kinds that were never trained on, and of trained kinds by people whose photos were not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ml.evaluation.evaluate import evaluate_model
from ml.evaluation.summary import Summary
from ml.folders.extraction import PictureEmbedder
from ml.folders.photo_set import PhotoSet
from ml.starter.data import read_clothing_set

from .intervals import round_summary


def measure_garments(embedder: PictureEmbedder, clothing: Path) -> dict[str, Any]:
    """Does a photo of a garment find others of its kind in each split, beside the histogram and chance?

    The headline counts no photo of the query's own sender, who photographs everything before the same wall. What was
    reported before these counted so is kept beside it.
    """
    return {split: _measure_split(embedder, read_clothing_set(clothing, split)) for split in ("unseen", "heldout")}


def _measure_split(embedder: PictureEmbedder, photos: PhotoSet) -> dict[str, Any]:
    evaluation = evaluate_model(photos, embedder)
    together = evaluate_model(dataclasses.replace(photos, groups=None), embedder)
    return {
        "n": evaluation.summary.micro.n,
        **_round_columns({"model": evaluation.summary, **evaluation.floor}),
        "per_class": {
            name: round(means["map_at_r"].mean, 3)
            for name, means in sorted(evaluation.summary.per_class.items(), key=lambda item: item[1]["map_at_r"].mean)
        },
        "photos of the same sender counted too": _round_columns({"model": together.summary, **together.floor}),
    }


def _round_columns(columns: dict[str, Summary]) -> dict[str, Any]:
    return {name: round_summary(summary) for name, summary in columns.items()}
