"""Models at a point of their life, for tests of the registry's commands and pages."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.inference.calibration.calibration import Calibration as Curve
from recommender import feed
from recommender.embedding import sweep
from recommender.models import Calibration, Embedding, EmbeddingModel, IndexSnapshot

FIGURE = {"mean": 0.4123, "low": 0.4, "high": 0.43}
FIGURES = dict.fromkeys(("recall_at_1", "recall_at_5", "recall_at_10", "map_at_r"), FIGURE)
EVALUATION: dict[str, Any] = {
    "data": "clothing/unseen",
    "at": "2026-01-02T03:04:05+00:00",
    "report": "20260102-030405-unseen.html",
    "n": 1500,
    **FIGURES,
    "macro": {"classes": 15, **FIGURES},
}


def embedded_by(model: EmbeddingModel) -> None:
    """Every photo has a vector of this model, and its index is published."""
    sweep.insert_missing_rows(model)
    Embedding.objects.filter(model=model).update(state="done", vector=b"\0\0")
    IndexSnapshot.objects.create(
        model=model, directory=f"of-{model.version}", position=feed.ZERO, state="published", rows=3
    )


def state_of(model: EmbeddingModel) -> str:
    return EmbeddingModel.objects.get(pk=model.pk).state


def make_certain_curve(dim: int) -> Curve:
    """One by which everything is nearly surely alike, so that answers are what they are without."""
    axes = np.eye(max(2, dim), dim, dtype=np.float32)
    return Curve(1e-3, 20.0, np.concatenate([axes[:2], -axes[:2]]), axes[-1:] * 0, 0.5, "labels", 1000, 0.02)


def store_curve(model: EmbeddingModel, curve: Curve | None = None) -> Calibration:
    curve = curve or make_certain_curve(model.dim)
    fields = {"data": curve.to_bytes(), "basis": curve.basis, "pairs": curve.pairs, "error": curve.error}
    return Calibration.objects.create(model=model, **fields)
