"""Curves from cosines to probabilities, for models of tests."""

from __future__ import annotations

import numpy as np

from ml.calibration.calibration import Calibration as Curve
from recommender.models import Calibration, EmbeddingModel


def make_certain_curve(dim: int) -> Curve:
    """One by which everything is nearly surely alike, so that answers are what they are without."""
    axes = np.eye(max(2, dim), dim, dtype=np.float32)
    return Curve(1e-3, 20.0, np.concatenate([axes[:2], -axes[:2]]), axes[-1:] * 0, 0.5, "labels", 1000, 0.02)


def store_curve(model: EmbeddingModel, curve: Curve | None = None) -> Calibration:
    curve = curve or make_certain_curve(model.dim)
    fields = {"data": curve.to_bytes(), "basis": curve.basis, "pairs": curve.pairs, "error": curve.error}
    return Calibration.objects.create(model=model, **fields)
