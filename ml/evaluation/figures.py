"""Which figures an evaluation tells, and where each comes from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import chance
from .metrics import Judged

DEPTHS = (1, 5, 10)
NAMES = (*(f"recall_at_{k}" for k in DEPTHS), "map_at_r", *(f"precision_at_{k}" for k in DEPTHS))
# Models are compared by this figure: it looks at as many results as there are right ones, not at the first few alone.
MAIN = "map_at_r"
TITLES = (*(f"R@{k}" for k in DEPTHS), "mAP@R", *(f"P@{k}" for k in DEPTHS))

Figures = npt.NDArray[np.float64]


def measure_figures(judged: Judged) -> Figures:
    """float64[Q, M]: every figure of every query, in the order of `NAMES`; nan where there was nothing to find."""
    recall = [judged.recall_at(k) for k in DEPTHS]
    return np.stack([*recall, judged.map_at_r, *(judged.precision_at(k) for k in DEPTHS)], axis=1)


def expected_figures(judged: Judged) -> Figures:
    """float64[Q, M]: what a random order of the same candidates is expected to give."""
    n, relevant = judged.candidates, judged.relevant
    recall = [chance.expected_recall(k, n, relevant) for k in DEPTHS]
    precision = [chance.expected_precision(k, n, relevant) for k in DEPTHS]
    expected = np.stack([*recall, chance.expected_map_at_r(n, relevant), *precision], axis=1)
    return np.where(relevant[:, None] > 0, expected, np.nan)
