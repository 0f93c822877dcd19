"""Queries that an inverted file was not trained on, and the truth about them: what it is calibrated against.

Queries are the midpoints of two rows that training left out. Photos that people search with are less similar to the
stored ones than these are among themselves, and midpoints are less similar by about as much.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recommender.index.rows.arrays import HalfVectors, Mask, RowIds, Similarities
from recommender.index.rows.vector_file import VectorFile

from . import dot_products
from .ivf import Ivf
from .probing import MEASURED_K

# Rows that point in opposite directions have a midpoint of nearly no length, and it is divided by this instead.
LEAST_MIDPOINT_NORM = 1e-3
SCANNED_ROWS = 32_768  # read at once by the exact comparison, whose memory must not grow with the segment


def pair_midpoints(vectors: VectorFile, pairs: RowIds) -> HalfVectors:
    """The query between each pair of rows: float16[q, dim], L2-normalised, of int64[q, 2]."""
    total = vectors.read_rows(pairs.ravel()).reshape(*pairs.shape, -1).astype(np.float32).sum(axis=1)
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), LEAST_MIDPOINT_NORM)).astype(np.float16)


def find_far_lists(ivf: Ivf, asked: HalfVectors) -> Mask:
    """The lists farthest from each query that together hold half of the rows: bool[q, lists].

    A filter that leaves just these rows is the hardest there is: nothing near, and too many rows to compare them all.
    """
    far = np.zeros((len(asked), ivf.list_count), bool)
    for number, query in enumerate(asked):
        order = np.argsort(ivf.centroids @ ivf.rotate_query(query)[0])
        far[number, order[: int(np.searchsorted(np.cumsum(ivf.sizes[order]), ivf.sizes.sum() / 2)) + 1]] = True
    return far


def true_similarities(
    ivf: Ivf, vectors: VectorFile, pairs: RowIds, asked: HalfVectors, far: Mask, tick: Callable[[], None]
) -> tuple[list[Similarities], list[Similarities]]:
    """Each query's MEASURED_K highest similarities, float32, best first: among all rows, and among its far lists.

    The two rows that a query was made of do not count.
    """
    wide = asked.astype(np.float32)
    plain = [np.empty(0, np.float32)] * len(asked)
    filtered = [np.empty(0, np.float32)] * len(far)
    for first, block in vectors.iterate_blocks(SCANNED_ROWS):
        similarity = wide @ block.astype(np.float32).T
        own = np.argwhere((pairs >= first) & (pairs < first + len(block)))
        # -2 is below any cosine, because the rows that a query was made of would be its answer every time.
        similarity[own[:, 0], pairs[tuple(own.T)] - first] = -2
        list_of = ivf.list_of[first : first + len(block)]
        for number, row in enumerate(similarity):
            plain[number] = _merge_best_similarities(plain[number], row)
            if number < len(far):
                filtered[number] = _merge_best_similarities(filtered[number], row[far[number][list_of]])
        tick()
    return plain, filtered


def _merge_best_similarities(best: Similarities, similarity: Similarities) -> Similarities:
    """The MEASURED_K highest of both, highest first."""
    if len(best) == MEASURED_K:
        similarity = similarity[similarity > best[-1]]
    both = np.concatenate([best, similarity])
    return both[dot_products.top_k(both, MEASURED_K)]
