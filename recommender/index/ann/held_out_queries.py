"""Queries that an inverted file was not trained on, and the truth about them: what it is calibrated against.

Queries are the midpoints of two rows that training left out. Photos that people search with are less similar to the
stored ones than these are among themselves, and midpoints are less similar by about as much. What lies far away is more
similar to a midpoint than to a photo, so filters that leave only that are asked with the rows themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from recommender.index.rows.arrays import HalfVectors, Mask, RowIds, Similarities
from recommender.index.rows.vector_file import VectorFile

from . import dot_products
from .ivf import Ivf
from .probing import MEASURED_K

# Rows that point in opposite directions have a midpoint of nearly no length, and it is divided by this instead.
LEAST_MIDPOINT_NORM = 1e-3
SCANNED_ROWS = 32_768  # read at once by the exact comparison, whose memory must not grow with the segment


@dataclass(frozen=True)
class Group:
    """Queries that ask alike: which ones of all that are held out, and the lists that each asks among, bool[q, lists].

    lists: None asks among all rows
    """

    numbers: range
    lists: Mask | None = None


def pair_midpoints(vectors: VectorFile, pairs: RowIds) -> HalfVectors:
    """The query between each pair of rows: float16[q, dim], L2-normalised, of int64[q, 2]."""
    total = vectors.read_rows(pairs.ravel()).reshape(*pairs.shape, -1).astype(np.float32).sum(axis=1)
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), LEAST_MIDPOINT_NORM)).astype(np.float16)


def find_far_lists(ivf: Ivf, asked: HalfVectors, share: float) -> Mask:
    """The lists farthest from each query that together hold this share of the rows: bool[q, lists].

    Filters that leave just these rows are the hardest: nothing is near, there are too many rows to compare them all,
    and the fewer they are, the less they differ in how similar they are to the query.
    """
    far = np.zeros((len(asked), ivf.list_count), bool)
    for number, query in enumerate(asked):
        order = np.argsort(ivf.centroids @ ivf.rotate_query(query)[0])
        far[number, order[: int(np.searchsorted(np.cumsum(ivf.sizes[order]), ivf.sizes.sum() * share)) + 1]] = True
    return far


def true_similarities(
    ivf: Ivf, vectors: VectorFile, pairs: RowIds, asked: HalfVectors, groups: Sequence[Group], tick: Callable[[], None]
) -> list[list[Similarities]]:
    """The MEASURED_K highest similarities, float32, best first, of each query of each group.

    The two rows that a query was made of do not count.
    """
    wide = asked.astype(np.float32)
    best = [[np.empty(0, np.float32)] * len(group.numbers) for group in groups]
    for first, block in vectors.iterate_blocks(SCANNED_ROWS):
        similarity = wide @ block.astype(np.float32).T
        own = np.argwhere((pairs >= first) & (pairs < first + len(block)))
        # -2 is below any cosine, because the rows that a query was made of would be its answer every time.
        similarity[own[:, 0], pairs[tuple(own.T)] - first] = -2
        list_of = ivf.list_of[first : first + len(block)]
        for group, found in zip(groups, best, strict=True):
            for place, number in enumerate(group.numbers):
                passing = similarity[number] if group.lists is None else similarity[number][group.lists[place][list_of]]
                found[place] = _merge_best_similarities(found[place], passing)
        tick()
    return best


def _merge_best_similarities(best: Similarities, similarity: Similarities) -> Similarities:
    """The MEASURED_K highest of both, highest first."""
    if len(best) == MEASURED_K:
        similarity = similarity[similarity > best[-1]]
    both = np.concatenate([best, similarity])
    return both[dot_products.top_k(both, MEASURED_K)]
