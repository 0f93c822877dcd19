"""Figures of many queries as means with intervals: over queries, over classes, and of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .bootstrap import RESAMPLES, SEED, Interval, percentile_intervals, resample_means
from .figures import MAIN, NAMES

Figures = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Means:
    """The mean of every figure, in the order of `figures.NAMES`; `n` queries or classes were averaged."""

    n: int
    intervals: tuple[Interval, ...]

    def __getitem__(self, name: str) -> Interval:
        return self.intervals[NAMES.index(name)]

    def as_dict(self) -> dict[str, Any]:
        """`{name: {mean, low, high}}`."""
        return {name: vars(interval) for name, interval in zip(NAMES, self.intervals, strict=True)}


@dataclass(frozen=True)
class Summary:
    """Micro: each query counts alike. Macro: each class with at least `at_least` queries does; None without one."""

    micro: Means
    macro: Means | None
    per_class: dict[str, Means]
    at_least: int

    def as_dict(self) -> dict[str, Any]:
        """Micro figures at the top, `macro` beside them."""
        return {"n": self.micro.n, **self.micro.as_dict(), "macro": self._macro_as_dict()}

    def classes_as_dict(self) -> dict[str, Any]:
        """`{class: {n, name: {mean, low, high}}}`."""
        return {name: {"n": means.n, **means.as_dict()} for name, means in self.per_class.items()}

    def worst_classes_first(self) -> list[tuple[str, Means]]:
        """Classes and their means, the lowest mAP@R first."""
        return sorted(self.per_class.items(), key=lambda item: item[1][MAIN].mean)

    def _macro_as_dict(self) -> dict[str, Any] | None:
        if self.macro is None:
            return None
        return {"classes": self.macro.n, "at_least": self.at_least, **self.macro.as_dict()}


def summarise_figures(
    figures: Figures, targets: npt.NDArray[np.int64], classes: Sequence[str], at_least: int
) -> Summary:
    """Average float64[Q, M] of queries with the classes int64[Q]; rows of nan are left out.

    Raises:
        ValueError: every row is nan.
    """
    known = ~np.isnan(figures).any(axis=1)
    if not known.any():
        raise ValueError("No query has anything to find.")
    figures, targets = figures[known], targets[known]
    rng = np.random.default_rng(SEED)
    micro = Means(len(figures), percentile_intervals(figures.mean(axis=0), resample_means(figures, rng)))
    per_class: dict[str, Means] = {}
    total, drawn_total, large = np.zeros(len(NAMES)), np.zeros((RESAMPLES, len(NAMES))), 0
    for target in np.unique(targets).tolist():
        own = figures[targets == target]
        mean, drawn = own.mean(axis=0), resample_means(own, rng)
        per_class[classes[target]] = Means(len(own), percentile_intervals(mean, drawn))
        if len(own) >= at_least:
            total, drawn_total, large = total + mean, drawn_total + drawn, large + 1
    macro = Means(large, percentile_intervals(total / large, drawn_total / large)) if large else None
    return Summary(micro, macro, per_class, at_least)
