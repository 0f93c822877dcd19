"""What cosines mean in answers: each model's curve, read from its row once a minute at most."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from ml.calibration.calibration import Calibration as Curve
from ml.calibration.calibration import CalibrationError, QueryScale
from ml.inference.arrays import Vectors
from ml.per_process import PerProcess
from recommender.models import Calibration

logger = logging.getLogger(__name__)

REREAD_SECONDS = 60.0


@dataclass
class _Known:
    """Curves by their model's id, and when each was read."""

    curves: dict[int, tuple[float, Curve | None]] = field(default_factory=dict)


_known = PerProcess(_Known)


def scale_query(model_id: int, vectors: Vectors) -> QueryScale | None:
    """What cosines to a query's photos mean, float32[m, dim]; None where the model has no curve."""
    curve = _read_curve(model_id)
    if curve is None:
        return None
    try:
        return curve.scale_query(vectors)
    except CalibrationError as exc:
        logger.error("Model %s answers without probabilities. %s", model_id, exc)
        return None


def forget_curves() -> None:
    """Read every curve anew when it is needed."""
    _known.forget()


def _read_curve(model_id: int) -> Curve | None:
    curves = _known.get().curves
    now = time.monotonic()
    read_at, curve = curves.get(model_id, (-REREAD_SECONDS, None))
    if now - read_at >= REREAD_SECONDS:
        curve = _load_curve(model_id)
        curves[model_id] = now, curve
    return curve


def _load_curve(model_id: int) -> Curve | None:
    data = Calibration.objects.filter(model=model_id).values_list("data", flat=True).first()
    try:
        return None if data is None else Curve.from_bytes(bytes(data))
    except CalibrationError as exc:
        logger.error("Model %s answers without probabilities: run `models calibrate`. %s", model_id, exc)
        return None
