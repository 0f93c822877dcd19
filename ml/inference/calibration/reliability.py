"""Whether probabilities say how often they are right, on photos of known kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.inference.arrays import Vectors

from .calibration import Basis, Calibration, compute_logistic
from .fitting import LEAST_PAIRS, draw_pairs, measure_calibration_error, score_pairs

TENTHS = 10


@dataclass(frozen=True)
class Tenth:
    """Pairs whose probability lies in one tenth of 0 to 1: what was said in the mean, how many show the same kind."""

    said: float
    true: float
    pairs: int


@dataclass(frozen=True)
class Reliability:
    """What was said of pairs, half of them of the same kind, and what was true.

    `basis` is what the curve was fitted on; `error` is the expected calibration error, 0 to 1.
    """

    basis: Basis
    pairs: int
    error: float
    tenths: list[Tenth]

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        tenths = [{"said": each.said, "true": each.true, "pairs": each.pairs} for each in self.tenths]
        return {"basis": self.basis, "pairs": self.pairs, "error": self.error, "tenths": tenths}


def measure_reliability(
    curve: Calibration, vectors: Vectors, labels: Sequence[str], groups: Sequence[str] = ()
) -> Reliability | None:
    """Judge a curve on float32[N, dim], what each shows and whose it is; None where there are too few pairs to tell."""
    pairs = draw_pairs(labels, groups)
    if len(pairs.same) < 2 * LEAST_PAIRS:
        return None
    scores, same = score_pairs(curve, vectors, pairs)[: len(pairs.same)], pairs.same  # the first photo is the query
    said = compute_logistic(curve.slope * scores + curve.offset)
    said[curve.find_blanks(vectors)[pairs.first]] = 0
    places = np.minimum((said * TENTHS).astype(int), TENTHS - 1)
    tenths = [
        Tenth(round(float(said[part].mean()), 4), round(float(same[part].mean()), 4), int(part.sum()))
        for part in (places == each for each in range(TENTHS))
        if part.any()
    ]
    return Reliability(curve.basis, len(pairs.same), round(measure_calibration_error(said, same), 4), tenths)
