"""How far a mean over queries would move with other queries of the same kind: percentile bootstrap.

Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13; with strata: Davison & Hinkley, "Bootstrap
Methods and their Application" (1997), chapter 3. Classes are the strata because a macro average is over these classes
and no others, so each keeps its number of queries in every resample. Gallery and training stay as they are: what
another gallery or another training would change is not in the interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Figures = npt.NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def resampled(figures: Figures, *, resamples: int = RESAMPLES, seed: int = SEED) -> Figures:
    """float64[resamples, M]: means of float64[Q, M] over queries drawn with replacement."""
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, figures.shape[1]))
    for i in range(resamples):
        drawn = np.bincount(rng.integers(len(figures), size=len(figures)), minlength=len(figures))
        means[i] = drawn @ figures / len(figures)
    return means


def resampled_in_strata(
    figures: Figures, sizes: npt.NDArray[np.int64], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Figures:
    """float64[resamples, S, M]: the mean of each stratum over as many of its own queries, drawn with replacement.

    Args:
        figures: float64[Q, M], stratum after stratum.
        sizes: int64[S], queries in each stratum, at least 1; their sum is Q.
    """
    rng = np.random.default_rng(seed)
    starts = np.cumsum(sizes) - sizes
    first, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    means = np.empty((resamples, len(sizes), figures.shape[1]))
    for i in range(resamples):
        picked = first + np.floor(rng.random(len(figures)) * size).astype(np.int64)
        drawn = np.bincount(picked, minlength=len(figures))
        means[i] = np.add.reduceat(drawn[:, None] * figures, starts, axis=0) / sizes[:, None]
    return means


def intervals(figures: Figures, resamples: Figures) -> list[Interval]:
    """One interval for each of M figures: float64[M] as measured, float64[resamples, M] as resampled."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resamples, [tail, 1 - tail], axis=0)
    return [Interval(float(m), float(a), float(b)) for m, a, b in zip(figures, low, high, strict=True)]
