"""Retrieval metrics, a figure for each query; their means are the figures people quote.

Similarity is the inner product of unit vectors. A query never finds itself, nor others of its group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .nearest import top_k_columns

Floats = npt.NDArray[np.float32]
Figures = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CELLS = 1 << 23  # similarities held at a time, 32 MB of them: memory must not grow with queries times gallery
NO_GROUP = -1


@dataclass(frozen=True)
class Labelled:
    """N unit vectors with a class each, and optionally a group: float32[N, dim], int64[N], int64[N].

    Rows of the group `NO_GROUP` belong together with no other.
    """

    vectors: Floats
    targets: Ints
    groups: Ints | None = None

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Judged:
    """What each of Q queries found: its class, and arrays of a figure each; nan where nothing could be found.

    Attributes:
        candidates: int64[Q], rows of the gallery it may find.
        relevant: int64[Q], how many of these it should find, R.
        hits: bool[Q, K], whether the k-th result is of its class.
        found: int64[Q, K], the k-th result as a row of the gallery, -1 past the last.
    """

    targets: Ints
    candidates: Ints
    relevant: Ints
    hits: Bools
    found: Ints
    map_at_r: Figures

    def recall_at(self, k: int) -> Figures:
        """float64[Q]: 1 where one of the first k is right, else 0."""
        return self._mask_unanswerable_queries(np.asarray(self.hits[:, :k].any(axis=1), np.float64))

    def precision_at(self, k: int) -> Figures:
        """float64[Q]: the share of the first k that is right; where fewer than k were found, the rest is wrong."""
        return self._mask_unanswerable_queries(np.asarray(self.hits[:, :k].sum(axis=1), np.float64) / k)

    def _mask_unanswerable_queries(self, figures: Figures) -> Figures:
        return np.where(self.relevant > 0, figures, np.nan)


def judge_queries(
    queries: Labelled, gallery: Labelled | None = None, *, own: Ints | None = None, depth: int = 10
) -> Judged:
    """Search for every query in `gallery`, or among the queries themselves, each left out of its own search.

    Args:
        own: int64[Q], the row of `gallery` that is the query itself and is left out, -1 where there is none.
        depth: how many results are kept, K.

    mAP@R is that of Musgrave et al., "A Metric Learning Reality Check" (ECCV 2020): with R relevant rows, the sum over
    the first R results of the precision at each right one, divided by R.
    """
    if gallery is None:
        gallery, own = queries, np.arange(len(queries))
    block = max(1, CELLS // len(gallery))
    parts = [
        _judge_block(queries, gallery, own, np.arange(start, min(start + block, len(queries))), depth)
        for start in range(0, len(queries), block)
    ]
    return Judged(queries.targets, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def macro_average(figures: Figures, targets: Ints, at_least: int = 1) -> float:
    """The mean over classes of the class's mean; classes with fewer than `at_least` known figures are left out."""
    known = ~np.isnan(figures)
    means = [
        figures[known & (targets == name)].mean()
        for name, n in zip(*np.unique(targets[known], return_counts=True), strict=True)
        if n >= at_least
    ]
    return float(np.mean(means)) if means else float("nan")


def _judge_block(
    queries: Labelled, gallery: Labelled, own: Ints | None, rows: Ints, depth: int
) -> tuple[Ints, Ints, Bools, Ints, Figures]:
    similarity = queries.vectors[rows] @ gallery.vectors.T
    barred = _exclusion_mask(queries, gallery, own, rows)
    # A row that one query may not find sorts last for it instead of being left out: other queries may find that row.
    similarity[barred] = -np.inf
    same = (queries.targets[rows, None] == gallery.targets) & ~barred
    relevant = same.sum(axis=1)
    # mAP@R needs the first R results, even where fewer are kept.
    order = top_k_columns(similarity, min(len(gallery), max(depth, int(relevant.max()))))
    right = np.take_along_axis(same, order, axis=1)
    found = np.where(np.take_along_axis(barred, order, axis=1), -1, order)
    candidates = len(gallery) - barred.sum(axis=1)
    return candidates, relevant, right[:, :depth], found[:, :depth], _map_at_r(right, relevant)


def _exclusion_mask(queries: Labelled, gallery: Labelled, own: Ints | None, rows: Ints) -> Bools:
    barred = np.zeros((len(rows), len(gallery)), bool)
    if queries.groups is not None and gallery.groups is not None:
        groups = queries.groups[rows, None]
        barred |= (groups == gallery.groups) & (groups != NO_GROUP)
    if own is not None:
        itself = own[rows] >= 0
        barred[np.flatnonzero(itself), own[rows][itself]] = True
    return barred


def _map_at_r(right: Bools, relevant: Ints) -> Figures:
    ranks = np.arange(1, right.shape[1] + 1)
    counted = right & (ranks <= relevant[:, None])
    precision_at = np.cumsum(right, axis=1) / ranks
    total = (precision_at * counted).sum(axis=1)
    return np.divide(total, relevant, out=np.full(len(relevant), np.nan), where=relevant > 0)
