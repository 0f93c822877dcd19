"""The best columns of each row, without sorting the row, and the same ones on every run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def top_k_columns(similarity: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    """int64[Q, k]: the columns of the k largest values of each row of float32[Q, N], largest first.

    Of equal values the lower column comes first, also at the k-th place, where `argpartition` alone would pick any.
    """
    threshold = np.partition(similarity, similarity.shape[1] - k, axis=1)[:, -k, None]
    above = similarity > threshold
    level = similarity == threshold
    wanted = k - above.sum(axis=1, keepdims=True)
    # int32, because by default the sums would take eight bytes each, twice as much memory as the similarities.
    chosen = above | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= wanted))
    columns = np.nonzero(chosen)[1].reshape(len(similarity), k)
    order = np.argsort(-np.take_along_axis(similarity, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)
