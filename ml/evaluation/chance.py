"""What a ranking in random order finds: expected figures in closed form, nothing is simulated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Figures = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def expected_recall(k: int, candidates: Ints, relevant: Ints) -> Figures:
    """float64[Q]: 1 - C(n - R, k) / C(n, k), the chance that one of k drawn without replacement is relevant."""
    missed = np.ones(len(candidates))
    for i in range(k):
        left = np.maximum(candidates - i, 1)
        missed *= np.clip((candidates - relevant - i) / left, 0, 1)
    return 1 - missed


def expected_precision(k: int, candidates: Ints, relevant: Ints) -> Figures:
    """float64[Q]: R / n, less where there are fewer than k candidates."""
    return relevant / np.maximum(candidates, 1) * np.minimum(candidates, k) / k


def expected_map_at_r(candidates: Ints, relevant: Ints) -> Figures:
    """float64[Q]: (H(R) + (R - H(R)) (R - 1) / (n - 1)) / n, where H(R) = 1 + 1/2 + ... + 1/R.

    Rank i holds a relevant row with probability R / n; then each of the i - 1 rows before it is relevant with
    probability (R - 1) / (n - 1), which gives the expected precision there. The mean over i up to R is the formula.
    """
    harmonic = np.cumsum(np.concatenate([[0.0], 1 / np.arange(1, int(relevant.max(initial=0)) + 1)]))[relevant]
    others = (relevant - 1) / np.maximum(candidates - 1, 1)
    return (harmonic + (relevant - harmonic) * others) / np.maximum(candidates, 1)
