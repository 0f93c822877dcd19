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
CELLS = 1 << 20  # draws held at a time, 8 MB of them; all resamples of a large set at once could take gigabytes


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def resample_means(figures: Figures, rng: np.random.Generator, *, resamples: int = RESAMPLES) -> Figures:
    """float64[resamples, M]: means of float64[Q, M] over Q queries drawn with replacement."""
    size = len(figures)
    at_once = max(1, CELLS // size)
    means = np.empty((resamples, figures.shape[1]))
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = rng.integers(size, size=(count, size)) + size * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)
        means[start : start + count] = times @ figures / size
    return means


def percentile_intervals(means: Figures, resamples: Figures) -> tuple[Interval, ...]:
    """One interval for each of M figures: float64[M] as measured, float64[resamples, M] as resampled."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resamples, [tail, 1 - tail], axis=0)
    # Where all values are equal, rounding may put their mean just outside an interval that is a single point.
    low, high = np.minimum(low, means), np.maximum(high, means)
    return tuple(Interval(*map(float, row)) for row in zip(means, low, high, strict=True))
