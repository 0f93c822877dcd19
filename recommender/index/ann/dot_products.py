"""Inner products of float16 vectors, summed in single precision, without converting whole matrices first."""

from __future__ import annotations

import numpy as np

from recommender.index.rows.columns import NO_ROWS
from recommender.index.rows.row_bitmap import RowBitmap

GATHERED = 512  # rows copied together at once: 1 MB at 1000 dimensions, which stays in the processor's cache
CONTIGUOUS = 4  # where one row in so many is wanted, reading all of them in order is no slower than gathering


def to_halves(vectors: np.ndarray) -> np.ndarray:
    """float16[m, dim], contiguous: the precision that vectors are stored in and compared at."""
    return np.ascontiguousarray(np.atleast_2d(vectors), np.float16)


def inner_products(queries: np.ndarray, vectors: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """float32[m, n] with every row of `vectors`, or float32[m, r] with the given ones.

    queries: float16[m, dim] · vectors: float16[n, dim] · rows: int64[r]
    """
    if rows is None:
        return _products(queries, vectors)
    if len(rows) * CONTIGUOUS > len(vectors):
        return _products(queries, vectors)[:, rows]
    result = np.empty((len(queries), len(rows)), np.float32)
    for start in range(0, len(rows), GATHERED):
        some = rows[start : start + GATHERED]
        result[:, start : start + len(some)] = _products(queries, vectors.take(some, 0))
    return result


def _products(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    import numkong

    result = np.empty((len(queries), len(vectors)), np.float32)
    if len(vectors):
        for number in range(len(queries)):  # one at a time: its kernel for several is slower than this
            result[number] = np.asarray(numkong.cdist(queries[number : number + 1], vectors, "dot"))[0]
    return result


def nearest(query: np.ndarray, vectors: np.ndarray, selection: RowBitmap, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(similarities float32[k'], rows int64[k']) of the k' = min(k, selected) most similar selected rows, best first.

    query: float16[dim] · vectors: float16[n, dim] · selection: of these n rows
    """
    k = min(k, selection.count)
    if selection.count * CONTIGUOUS <= len(vectors) or k == 0:
        rows = selection.rows if k else NO_ROWS
        similarity = inner_products(query[None, :], vectors, rows)[0]
        top = best(similarity, k)
        return similarity[top], rows[top]
    similarity = _products(query[None, :], vectors)[0]
    if not selection.is_all:
        similarity[~selection.mask] = -np.inf
    top = best(similarity, k)
    top = top[similarity[top] > -np.inf]  # where a stored vector is not a number, other rows would take its place
    return similarity[top], top


def best(similarity: np.ndarray, k: int) -> np.ndarray:
    """int64[min(k, n)]: indices of the k largest of float32[n], largest first."""
    if k < len(similarity):
        top = np.argpartition(-similarity, k - 1)[:k] if k else np.empty(0, np.int64)
    else:
        top = np.arange(len(similarity))
    return top[np.argsort(-similarity[top], kind="stable")]
