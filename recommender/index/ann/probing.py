"""Which lists of an inverted file to look into for one query: as many as its own neighbours need, filtered or not.

First the lists nearest to the query are looked into that hold selected rows, as many as unfiltered queries need. Then
the rest are judged: rows are similar to a query by the inner product with their list's centroid, plus something random
in units of the list's spread, whose distribution was measured when the segment was built (`Tail`). So the number of
rows better than the k-th found is known for each list not yet seen, and lists are looked into until what is left unseen
is below a tolerance. A filter changes only how many rows of each list count; one that leaves nothing near makes the
second look as wide as it has to be.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recommender.index.rows.row_bitmap import RowBitmap

from . import dot_products
from .ivf import Ivf

FIRST_LOOK_PER_RESULT = 20  # selected rows, at least, before it is judged how many more lists are needed
DEPTH_PER_RESULT = 4  # candidates re-scored for each result beyond the ten that depths were measured for
MEASURED_K = 10
UNFILTERED = 0.9  # of the rows
EXACT_MICROSECONDS = (
    2_000  # what a filter leaves is compared whole where it takes no longer, though codes might be faster
)
EXACT, CODES = "exact", "codes"


@dataclass(frozen=True)
class Tail:
    """P(z >= grid[i]) of z = (similarity - closeness to the centroid) / spread; beyond the grid log-linear."""

    grid: tuple[float, ...]
    share: tuple[float, ...]

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return np.exp(self._log(z))

    @cached_property
    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array(self.grid), np.log(self.share)

    def _log(self, z: np.ndarray) -> np.ndarray:
        grid, logs = self._points
        beyond = logs[-1] + _last_slope(grid, logs) * (z - grid[-1])
        return np.where(z > grid[-1], beyond, np.interp(z, grid, logs, left=0.0))


def _last_slope(grid: np.ndarray, logs: np.ndarray) -> float:
    before = len(grid) - 1 - max(1, len(grid) // 10)
    return float((logs[-1] - logs[before]) / (grid[-1] - grid[before])) if before >= 0 else 0.0


@dataclass(frozen=True)
class Costs:
    """Microseconds on the machine that built the segment: for each list looked into, for each code in it, for each
    row compared exactly, and for each selected row that has to be sorted by list first."""

    per_list: float
    per_code: float
    per_row: float
    per_selected: float


@dataclass(frozen=True)
class Effort:
    """`lists`: the nearest, looked into first. `tolerance`: neighbours that may be expected to stay unseen, as a share
    of k. `depth`: candidates re-scored for k = 10."""

    lists: int
    tolerance: float
    depth: int


@dataclass(frozen=True)
class Tuning:
    """What was measured when the segment was built; `plain` is for searches of nearly all rows."""

    tail: Tail
    costs: Costs
    plain: Effort
    filtered: Effort

    def effort(self, share: float) -> Effort:
        """For a search among this share of the rows."""
        return self.plain if share >= UNFILTERED else self.filtered

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Tuning:
        """Raises: KeyError, TypeError where something is missing."""
        tail = Tail(tuple(values["tail"]["grid"]), tuple(values["tail"]["share"]))
        efforts = (Effort(**values[name]) for name in ("plain", "filtered"))
        return cls(tail, Costs(**values["costs"]), *efforts)


@dataclass(frozen=True)
class Step:
    """What a search did in one segment: `how` (exact or codes), lists looked into, rows selected and compared."""

    how: str
    selected: int
    compared: int
    lists: int = 0

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))  # asdict would copy deeply, which takes ten times as long


class Probe:
    """One query in one inverted file. Immutable inputs; `run` looks at most twice."""

    def __init__(
        self,
        ivf: Ivf,
        vectors: np.ndarray,
        tuning: Tuning,
        query: np.ndarray,
        selection: RowBitmap,
        *,
        codes_only: bool = False,
    ) -> None:
        """query: float16[dim] · vectors: float16[n, dim] · codes_only: take no short cut by comparing rows, so that
        what is measured is the effort"""
        self._codes_only = codes_only
        self._ivf, self._vectors, self._tuning, self._selection = ivf, vectors, tuning, selection
        self._query = query[None, :]
        self._turned = ivf.turn(query)
        self._closeness = ivf.centroids @ self._turned[0]
        self._selected = selection.counts_per_list(ivf.list_of, ivf.lists)
        self._compared = 0

    def run(self, k: int) -> tuple[np.ndarray, np.ndarray, Step]:
        """(similarities float32[k], rows int64[k], what was done) of about the k best selected rows, k <= selected."""
        effort = self._tuning.effort(self._selection.count / len(self._vectors))
        everything = self._tuning.costs.per_row * self._selection.count
        if self._codes_only:
            everything = np.inf
        elif effort is not self._tuning.plain and everything <= EXACT_MICROSECONDS:
            return self._scan_all(k)
        depth = effort.depth + DEPTH_PER_RESULT * max(0, k - MEASURED_K)
        first = self._nearest_lists(effort.lists, min(self._selection.count, FIRST_LOOK_PER_RESULT * k))
        if everything <= self._cheapest(first, depth)[1]:
            return self._scan_all(k)
        similarity, rows = self._look(first, depth, k)
        floor = float(similarity[-1]) if len(similarity) == k else -1.0
        more = self._promising(first, floor, effort.tolerance * k)
        if len(more):
            if everything <= self._cheapest(more, depth)[1]:
                return self._scan_all(k)
            also = self._look(more, depth, k)
            similarity, rows = np.concatenate([similarity, also[0]]), np.concatenate([rows, also[1]])
            top = dot_products.best(similarity, k)
            similarity, rows = similarity[top], rows[top]
        if len(rows) < k:  # codes gave fewer than were asked for
            return self._scan_all(k)
        return similarity, rows, Step(CODES, self._selection.count, self._compared, len(first) + len(more))

    def _nearest_lists(self, lists: int, wanted: int) -> np.ndarray:
        """The lists nearest to the query that hold selected rows, `lists` of them, or more where these hold fewer than
        `wanted` together."""
        holding = np.flatnonzero(self._selected)
        order = holding[np.argsort(-self._closeness[holding])]
        return order[: max(lists, int(np.searchsorted(np.cumsum(self._selected[order]), wanted)) + 1)]

    def _promising(self, seen: np.ndarray, floor: float, tolerated: float) -> np.ndarray:
        """Lists to look into, the most promising first, until fewer than `tolerated` better rows are left."""
        expected = self._selected * self._tuning.tail((floor - self._closeness) / self._ivf.spreads)
        expected[seen] = 0
        order = np.argsort(-expected)
        unseen = expected.sum() - np.cumsum(expected[order])
        needed = 0 if expected.sum() <= tolerated else int(np.argmax(unseen <= tolerated)) + 1
        return order[:needed][self._selected[order[:needed]] > 0]

    def _cheapest(self, lists: np.ndarray, depth: int) -> tuple[str, float]:
        """How to look into these lists, and the microseconds it should take."""
        costs, ivf = self._tuning.costs, self._ivf
        codes = costs.per_list * len(lists) + costs.per_code * int(ivf.sizes[lists].sum()) + costs.per_row * depth
        exact = costs.per_selected * self._selection.count + costs.per_row * int(self._selected[lists].sum())
        return (EXACT, exact) if exact < codes and not self._codes_only else (CODES, codes)

    def _look(self, lists: np.ndarray, depth: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self._cheapest(lists, depth)[0] == EXACT:
            wanted = np.zeros(self._ivf.lists, bool)
            wanted[lists] = True
            rows = self._selection.rows
            rows = rows[wanted[self._ivf.list_of[rows]]]
        else:
            closeness = self._closeness[lists]
            rows = np.sort(self._ivf.scan(self._turned, lists, closeness, depth, self._selection))
        return self._score(rows, k)

    def _scan_all(self, k: int) -> tuple[np.ndarray, np.ndarray, Step]:
        similarity, rows = dot_products.nearest(self._query[0], self._vectors, self._selection, k)
        return similarity, rows, Step(EXACT, self._selection.count, self._compared + self._selection.count)

    def _score(self, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        self._compared += len(rows)
        similarity = dot_products.inner_products(self._query, self._vectors, rows)[0]
        top = dot_products.best(similarity, k)
        return similarity[top], rows[top]
