"""Figures as they are written down: mean, low and high of a 95 % interval by bootstrap over queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ml.evaluation.bootstrap import SEED, percentile_intervals, resample_means
from ml.evaluation.summary import Means, Summary

FIGURES = ("recall_at_1", "map_at_r")


def bootstrap_mean(figures: npt.ArrayLike) -> list[float]:
    """Mean, low and high of one number for each query."""
    column = np.asarray(figures, np.float64)[:, None]
    resampled = resample_means(column, np.random.default_rng(SEED))
    return [round(value, 3) for value in vars(percentile_intervals(column.mean(axis=0), resampled)[0]).values()]


def round_summary(summary: Summary) -> dict[str, Any]:
    """R@1 and mAP@R, over classes where one is large enough and over queries."""
    return {name: _round_means(means) for name, means in (("macro", summary.macro), ("micro", summary.micro)) if means}


def _round_means(means: Means) -> dict[str, list[float]]:
    return {name: [round(value, 3) for value in vars(means[name]).values()] for name in FIGURES}
