"""Inner products of float16 vectors, summed in single precision, without converting whole matrices first."""

from __future__ import annotations

import numpy as np

from recommender.index.rows.arrays import FloatVectors, HalfVectors, RowIds, Similarities
from recommender.index.rows.columns import NO_ROWS
from recommender.index.rows.row_bitmap import RowBitmap

# Scattered rows are copied together in groups of this size: 1 MB at 1000 dimensions, which fits the processor's cache.
GATHERED_ROWS = 512
# Where more than one row in this many is wanted, comparing all rows in order is no slower than gathering those.
CONTIGUOUS_FROM_ONE_IN = 4


def to_float16(vectors: FloatVectors) -> HalfVectors:
    """float16[m, dim], contiguous: the precision that vectors are stored in and compared at."""
    return np.ascontiguousarray(np.atleast_2d(vectors), np.float16)


def inner_products(queries: HalfVectors, vectors: HalfVectors, rows: RowIds | None = None) -> Similarities:
    """float32[m, n] with every row of `vectors`, or float32[m, r] with the given ones.

    queries: float16[m, dim] · vectors: float16[n, dim] · rows: int64[r]
    """
    if rows is None:
        return _all_products(queries, vectors)
    if len(rows) * CONTIGUOUS_FROM_ONE_IN > len(vectors):
        return _all_products(queries, vectors)[:, rows]
    result = np.empty((len(queries), len(rows)), np.float32)
    for start in range(0, len(rows), GATHERED_ROWS):
        some = rows[start : start + GATHERED_ROWS]
        result[:, start : start + len(some)] = _all_products(queries, vectors.take(some, 0))
    return result


def _all_products(queries: HalfVectors, vectors: HalfVectors) -> Similarities:
    """float32[m, n]: every query with every row."""
    import numkong

    result = np.empty((len(queries), len(vectors)), np.float32)
    if len(vectors):
        # One query at a time, because numkong's kernel for several is slower.
        for number in range(len(queries)):
            result[number] = np.asarray(numkong.cdist(queries[number : number + 1], vectors, "dot"))[0]
    return result


def nearest_rows(query: HalfVectors, vectors: HalfVectors, selection: RowBitmap, k: int) -> tuple[Similarities, RowIds]:
    """The k' = min(k, selected) most similar selected rows, best first: (similarities float32[k'], rows int64[k']).

    query: float16[dim] · vectors: float16[n, dim] · selection: of these n rows
    """
    k = min(k, selection.count)
    if selection.count * CONTIGUOUS_FROM_ONE_IN <= len(vectors) or k == 0:
        rows = selection.rows if k else NO_ROWS
        similarity = inner_products(query[None, :], vectors, rows)[0]
        top = top_k(similarity, k)
        return similarity[top], rows[top]
    similarity = _all_products(query[None, :], vectors)[0]
    if not selection.is_all:
        similarity[~selection.mask] = -np.inf
    top = top_k(similarity, k)
    # Rows that are not selected are -inf, and a stored vector with a NaN gives NaN; neither may be returned.
    top = top[similarity[top] > -np.inf]
    return similarity[top], top


def top_k(similarity: Similarities, k: int) -> RowIds:
    """int64[min(k, n)]: indices of the k largest of float32[n], largest first."""
    if k < len(similarity):
        top = np.argpartition(-similarity, k - 1)[:k] if k else np.empty(0, np.int64)
    else:
        top = np.arange(len(similarity))
    return top[np.argsort(-similarity[top], kind="stable")]
