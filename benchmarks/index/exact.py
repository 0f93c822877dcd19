"""Finds the rows truly nearest to queries, by a full scan in float32, and the share of them that a search found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ml.folders.vector_folder import Halves
from ml.inference.arrays import Vectors

RowIds = NDArray[np.int64]

NOTHING = -1  # in the place of a row, where fewer than k rows pass


class Nearest:
    """The k rows most similar to each of m queries, of rows that come in blocks, as they may not fit into memory."""

    def __init__(self, queries: int, k: int) -> None:
        self._similarity = np.full((queries, k), -np.inf, np.float32)
        self._rows = np.full((queries, k), NOTHING, np.int64)
        self.passing = np.zeros(queries, np.int64)

    def add_block(self, first: int, similarity: NDArray[np.float32], passing: NDArray[np.bool_] | None = None) -> None:
        """Add the rows from number `first` on, by similarity float32[m, b]; passing, bool[m, b], says which count."""
        counted = similarity.shape[1] if passing is None else np.count_nonzero(passing, axis=1)
        self.passing += counted
        better = similarity > self._similarity[:, -1:]
        if passing is not None:
            better &= passing
        for query in np.flatnonzero(better.any(axis=1)):
            rows = np.flatnonzero(better[query])
            values = np.concatenate([self._similarity[query], similarity[query, rows]])
            top = np.argsort(-values, kind="stable")[: self._rows.shape[1]]
            self._rows[query] = np.concatenate([self._rows[query], rows + first])[top]
            self._similarity[query] = values[top]

    @property
    def rows(self) -> RowIds:
        """int64[m, k], most similar first, and NOTHING where fewer rows passed."""
        return np.where(np.isfinite(self._similarity), self._rows, NOTHING)


def find_nearest_rows(queries: Vectors, blocks: Iterable[Halves], k: int) -> RowIds:
    """The rows int64[m, k] nearest to queries float32[m, dim]."""
    nearest, first = Nearest(len(queries), k), 0
    for block in blocks:
        nearest.add_block(first, queries @ block.astype(np.float32).T)
        first += len(block)
    return nearest.rows


def recall_of_rows(found: Sequence[RowIds], truth: RowIds) -> float:
    """The share of the true rows, int64[m, k], that are among those found for each of the first m queries."""
    hits = sum(int(np.isin(true, rows).sum()) for rows, true in zip(found, truth, strict=False))
    return hits / max(1, int(np.count_nonzero(truth != NOTHING)))
