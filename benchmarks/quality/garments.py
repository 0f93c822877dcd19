"""Garments of kinds that were never trained on, and of trained kinds by people whose photos were not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ml.evaluation.evaluate import evaluate_model
from ml.evaluation.summary import Means, Summary
from ml.inference.embedder import Embedder
from ml.starter.data import read_clothing_set

FIGURES = ("recall_at_1", "map_at_r")


def measure_garments(embedder: Embedder, clothing: Path) -> dict[str, Any]:
    """Leave-one-out figures of both splits: macro and micro, beside the histogram and chance."""
    return {split: _measure_split(embedder, clothing, split) for split in ("unseen", "heldout")}


def _measure_split(embedder: Embedder, clothing: Path, split: str) -> dict[str, Any]:
    # Without groups, other photos of a query's sender count among those that are found.
    photos = dataclasses.replace(read_clothing_set(clothing, split), groups=None)
    evaluation = evaluate_model(photos, embedder)
    columns = {"model": evaluation.summary, **evaluation.floor}
    return {
        "n": evaluation.summary.micro.n,
        **{name: _round_summary(summary) for name, summary in columns.items()},
        "per_class": {name: round(means["map_at_r"].mean, 3) for name, means in evaluation.summary.per_class.items()},
    }


def _round_summary(summary: Summary) -> dict[str, Any]:
    return {name: _round_means(means) for name, means in (("macro", summary.macro), ("micro", summary.micro)) if means}


def _round_means(means: Means) -> dict[str, list[float]]:
    """Each figure as mean, low, high."""
    return {name: [round(value, 3) for value in vars(means[name]).values()] for name in FIGURES}
