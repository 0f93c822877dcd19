"""The filters of the index benchmark: conditions that a known share of rows passes.

Rows that pass lie near the query, far from it, or anywhere, because that changes how hard they are to find.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.inference.arrays import Vectors

SHARES = {"50%": 0.5, "10%": 0.1, "1%": 0.01, "0.1%": 0.001}
PRICES = 1_000_000  # prices of rows, in hundredths, are spread evenly below this one


@dataclass(frozen=True)
class Level:
    """Conditions that the same share of rows passes, one for each of m queries.

    `allowed` is int64[m, 2], the lowest and the highest price in hundredths, or bool[m, c] by category id.
    """

    name: str
    allowed: NDArray[Any]

    def mask_rows(self, price: NDArray[np.int64], category: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool[m, n]: which of n rows with these values pass the condition of each query."""
        if self.is_of_categories:
            return self.allowed[:, category]
        return (price >= self.allowed[:, :1]) & (price <= self.allowed[:, 1:])

    def filter_arguments(self, query: int) -> dict[str, Any]:
        """The condition of one query as arguments of `Filter`."""
        if self.is_of_categories:
            return {"category_ids": frozenset(np.flatnonzero(self.allowed[query]).tolist())}
        low, high = self.allowed[query].tolist()
        return {"min_price": low / 100, "max_price": high / 100}

    @property
    def is_of_categories(self) -> bool:
        return self.allowed.dtype == bool


def make_levels(queries: Vectors, centroids: Vectors, shares: NDArray[np.float64]) -> Iterator[Level]:
    """Every share, near, far and at random, for queries float32[m, dim].

    centroids: float32[c, dim] of the categories with ids from 1 · shares: float64[c], of the rows in each
    """
    random = np.random.default_rng(0)
    closest = np.argsort(-(queries @ centroids.T), axis=1)
    for words, share in SHARES.items():
        width = round(share * PRICES)
        low = random.integers(0, PRICES - width + 1, len(queries))
        yield Level(f"{words} random", np.stack([low, low + width - 1], axis=1))
        for where, order in (("near", closest), ("far", closest[:, ::-1])):
            yield Level(f"{words} {where}", _choose_categories(order, shares, share))


def _choose_categories(order: NDArray[np.int64], shares: NDArray[np.float64], wanted: float) -> NDArray[np.int64]:
    """bool[m, c + 1] by category id: the first in each query's order that together hold the wanted share of rows."""
    before = np.cumsum(shares[order], axis=1) - shares[order]
    chosen = np.zeros((len(order), order.shape[1] + 1), bool)
    np.put_along_axis(chosen, order + 1, before < wanted, axis=1)
    return chosen
