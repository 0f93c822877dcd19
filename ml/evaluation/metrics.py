"""Retrieval metrics, a figure for each query; their means are the figures people quote.

Similarity is the inner product of unit vectors. A query never finds itself, nor others of its group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BLOCK = 512  # queries compared at a time


@dataclass(frozen=True)
class Labelled:
    """N unit vectors with a class each, and optionally a group: float32[N, dim], int64[N], int64[N]."""

    vectors: Floats
    targets: Ints
    groups: Ints | None = None


@dataclass(frozen=True)
class Judged:
    """What each of Q queries found: its class, and arrays of a figure each; nan where nothing could be found."""

    targets: Ints
    relevant: Ints  # how many of the gallery it should find, R
    hits: Bools  # bool[Q, K]: whether the k-th result is of its class
    found: Ints  # int64[Q, K]: the k-th result as a row of the gallery, -1 past the last
    map_at_r: npt.NDArray[np.float64]

    def recall_at(self, k: int) -> npt.NDArray[np.float64]:
        """float64[Q]: 1 where one of the first k is right, else 0."""
        return self._known(self.hits[:, :k].any(axis=1).astype(np.float64))

    def precision_at(self, k: int) -> npt.NDArray[np.float64]:
        """float64[Q]: the share of the first k that is right."""
        return self._known(np.asarray(self.hits[:, :k].sum(axis=1), np.float64) / k)

    def _known(self, figures: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(self.relevant > 0, figures, np.nan)


def judge(queries: Labelled, gallery: Labelled | None = None, *, depth: int = 10) -> Judged:
    """Search for every query in `gallery`, or among the queries themselves, each left out of its own search.

    mAP@R is that of Musgrave et al., "A Metric Learning Reality Check" (ECCV 2020): with R relevant rows, the mean over
    the first R results of precision at the rank of each right one.
    """
    own = gallery is None
    gallery = queries if gallery is None else gallery
    count = np.bincount(gallery.targets, minlength=int(max(queries.targets.max(), gallery.targets.max())) + 1)
    widest = min(len(gallery.targets), int(count.max()))
    depth = min(depth, len(gallery.targets))
    parts = [
        _judge_block(queries, gallery, np.arange(start, min(start + BLOCK, len(queries.targets))), own, depth, widest)
        for start in range(0, len(queries.targets), BLOCK)
    ]
    relevant, hits, found, mean = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Judged(queries.targets, relevant, hits, found, mean)


def _judge_block(
    queries: Labelled, gallery: Labelled, rows: Ints, own: bool, depth: int, widest: int
) -> tuple[Ints, Bools, Ints, npt.NDArray[np.float64]]:
    similarity = queries.vectors[rows] @ gallery.vectors.T
    same = queries.targets[rows, None] == gallery.targets[None]
    barred = np.zeros(similarity.shape, bool)
    if own:
        barred[np.arange(len(rows)), rows] = True
    if queries.groups is not None and gallery.groups is not None:
        barred |= queries.groups[rows, None] == gallery.groups[None]
    similarity[barred] = -np.inf
    relevant = (same & ~barred).sum(axis=1)
    order = _best(similarity, max(depth, widest))
    right = np.take_along_axis(same & ~barred, order, axis=1)
    found = np.where(np.take_along_axis(barred, order, axis=1), -1, order)
    return relevant, right[:, :depth], found[:, :depth], _map_at_r(right, relevant)


def _best(similarity: Floats, k: int) -> Ints:
    """int64[Q, k]: the columns of the k largest values of each row, largest first; the lower column wins a tie."""
    return np.argsort(-similarity, axis=1, kind="stable")[:, :k]


def _map_at_r(right: Bools, relevant: Ints) -> npt.NDArray[np.float64]:
    ranks = np.arange(1, right.shape[1] + 1)
    counted = right & (ranks <= relevant[:, None])
    precision = np.cumsum(right, axis=1) / ranks
    total = (precision * counted).sum(axis=1)
    return np.divide(total, relevant, out=np.full(len(relevant), np.nan), where=relevant > 0)


def macro(figures: npt.NDArray[np.float64], targets: Ints, at_least: int = 1) -> float:
    """The mean over classes of the class's mean; classes with fewer than `at_least` queries are left out."""
    means = [
        np.nanmean(figures[targets == name])
        for name, n in zip(*np.unique(targets, return_counts=True), strict=True)
        if n >= at_least
    ]
    return float(np.mean(means)) if means else float("nan")
