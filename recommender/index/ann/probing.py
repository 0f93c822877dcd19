"""Chooses which inverted lists to scan for one query (nprobe), with or without a filter.

1. Scan the nearest lists that contain selected rows, as many as an unfiltered query needs.
2. Estimate how many better rows each other list still holds. The similarity of a row is the inner product of the query
   with the centroid of its list, plus a random part in units of the list's residual RMS. The distribution of that
   random part was measured when the segment was built (`Tail`), so the expected number of rows that beat the k-th
   result follows for every list.
3. Scan lists, most promising first, until the rows expected in those left out are fewer than `tolerance`.

A filter changes only how many rows of each list count. Where it leaves nothing near the query, step 3 scans as many
lists as it takes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recommender.index.rows.arrays import HalfVectors, ListIds, Reals, RowIds, Similarities
from recommender.index.rows.row_bitmap import RowBitmap

from . import dot_products
from .ivf import Ivf

# The first scan covers at least this many selected rows per result, or the estimate would rest on too few.
FIRST_LOOK_PER_RESULT = 20
# `depth` was measured for k = MEASURED_K, so each result beyond that adds this many candidates to be re-scored.
DEPTH_PER_RESULT = 4
MEASURED_K = 10
UNFILTERED_SHARE = 0.9  # a filter that leaves this share of the rows hardly changes a search: plain parameters do
# Where more than this share of all rows is nearer to the query than those that a filter leaves, the parameters for far
# filters count: half way between what these are tuned on (nine tenths, or more) and `filtered` (half).
FAR = 0.7
# An exact search of the filtered rows that costs no more than this is made even where codes would be faster, because
# its recall is 1.
EXACT_WITHIN_MICROSECONDS = 2_000
EXACT, CODES = "exact", "codes"


@dataclass(frozen=True)
class Tail:
    """Survival function of z = (similarity - closeness to the centroid) / residual RMS.

    `share[i]` is P(z >= grid[i]). Between the points, and beyond the last, its logarithm is interpolated linearly.
    """

    grid: tuple[float, ...]
    share: tuple[float, ...]

    def __call__(self, z: Reals) -> Reals:
        return np.exp(self._log_share(z))

    @cached_property
    def _grid_and_logs(self) -> tuple[Reals, Reals]:
        return np.array(self.grid), np.log(self.share)

    def _log_share(self, z: Reals) -> Reals:
        grid, logs = self._grid_and_logs
        beyond = logs[-1] + _last_slope(grid, logs) * (z - grid[-1])
        return np.where(z > grid[-1], beyond, np.interp(z, grid, logs, left=0.0))


def _last_slope(grid: Reals, logs: Reals) -> float:
    # The slope is taken over the last tenth of the points, because the last two alone rest on a handful of measured
    # rows.
    before = len(grid) - 1 - max(1, len(grid) // 10)
    return float((logs[-1] - logs[before]) / (grid[-1] - grid[before])) if before >= 0 else 0.0


@dataclass(frozen=True)
class Costs:
    """Microseconds, measured on the machine that built the segment.

    per_list: to enter a list · per_code: to estimate one row from its code · per_row: to compare one row exactly ·
    per_selected: to find out whether one selected row lies in the chosen lists
    """

    per_list: float
    per_code: float
    per_row: float
    per_selected: float


@dataclass(frozen=True)
class SearchParams:
    """How much a search does.

    lists: nearest lists to scan first · tolerance: how many true neighbours, as a share of k, may be expected in lists
    that are not scanned · depth: candidates to re-score exactly for k = MEASURED_K
    """

    lists: int
    tolerance: float
    depth: int


@dataclass(frozen=True)
class Tuning:
    """What was measured when the segment was built.

    plain: for searches without a filter that matters · far: with one that leaves only rows far from the query ·
    filtered: with any other
    """

    tail: Tail
    costs: Costs
    plain: SearchParams
    filtered: SearchParams
    far: SearchParams

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Tuning:
        """Raises: KeyError, TypeError where something is missing."""
        tail = Tail(tuple(values["tail"]["grid"]), tuple(values["tail"]["share"]))
        # A segment of an earlier version was not tuned on far filters, and is searched as it was then.
        efforts = (values["plain"], values["filtered"], values.get("far", values["filtered"]))
        return cls(tail, Costs(**values["costs"]), *(SearchParams(**effort) for effort in efforts))


@dataclass(frozen=True)
class SegmentPlan:
    """What a search did in one segment: `how` (exact or codes), lists scanned, rows selected and rows compared."""

    how: str
    selected: int
    compared: int
    lists: int = 0


class Probe:
    """One query in one inverted file; `find_nearest_rows` scans lists at most twice."""

    def __init__(
        self,
        ivf: Ivf,
        vectors: HalfVectors,
        tuning: Tuning,
        query: HalfVectors,
        selection: RowBitmap,
        *,
        codes_only: bool = False,
    ) -> None:
        """query: float16[dim] · vectors: float16[n, dim]

        codes_only: never compare whole lists exactly, so that a calibration measures the parameters alone.
        """
        self._codes_only = codes_only
        self._ivf, self._vectors, self._tuning, self._selection = ivf, vectors, tuning, selection
        self._query = query[None, :]
        self._rotated = ivf.rotate_query(query)
        self._closeness = ivf.centroids @ self._rotated[0]
        self._selected = selection.counts_per_list(ivf.list_of, ivf.list_count)
        self._compared = 0

    def find_nearest_rows(self, k: int) -> tuple[Similarities, RowIds, SegmentPlan]:
        """About the k best selected rows: (similarities float32[k], rows int64[k], what was done); k <= selected."""
        params = self._choose_params(min(self._selection.count, FIRST_LOOK_PER_RESULT * k))
        exact_cost = self._tuning.costs.per_row * self._selection.count
        if self._codes_only:
            exact_cost = np.inf
        elif params is not self._tuning.plain and exact_cost <= EXACT_WITHIN_MICROSECONDS:
            return self._compare_all_selected_rows(k)
        depth = params.depth + DEPTH_PER_RESULT * max(0, k - MEASURED_K)
        first = self._nearest_lists(params.lists, min(self._selection.count, FIRST_LOOK_PER_RESULT * k))
        if exact_cost <= self._cheapest_way(first, depth)[1]:
            return self._compare_all_selected_rows(k)
        similarity, rows = self._search_lists(first, depth, k)
        # Whatever is still unseen must beat the k-th result; where there are fewer than k, everything does.
        floor = float(similarity[-1]) if len(similarity) == k else -1.0
        more = self._promising_lists(first, floor, params.tolerance * k)
        if len(more):
            if exact_cost <= self._cheapest_way(more, depth)[1]:
                return self._compare_all_selected_rows(k)
            also = self._search_lists(more, depth, k)
            similarity, rows = np.concatenate([similarity, also[0]]), np.concatenate([rows, also[1]])
            top = dot_products.top_k(similarity, k)
            similarity, rows = similarity[top], rows[top]
        if len(rows) < k:
            # The lists scanned held fewer selected rows than were asked for, and k results must be given if k exist.
            return self._compare_all_selected_rows(k)
        return similarity, rows, SegmentPlan(CODES, self._selection.count, self._compared, len(first) + len(more))

    def _choose_params(self, wanted: int) -> SearchParams:
        """The parameters for a filter that leaves so many rows, and its nearest `wanted` ones so far away."""
        if self._selection.count >= UNFILTERED_SHARE * len(self._vectors):
            return self._tuning.plain
        last = self._nearest_lists(1, wanted)[-1]
        nearer = int(self._ivf.sizes[self._closeness > self._closeness[last]].sum())
        return self._tuning.far if nearer > FAR * len(self._vectors) else self._tuning.filtered

    def _nearest_lists(self, lists: int, wanted: int) -> ListIds:
        """The `lists` nearest lists with selected rows, or more where these hold fewer than `wanted` together."""
        holding = np.flatnonzero(self._selected)
        order = holding[np.argsort(-self._closeness[holding])]
        return order[: max(lists, int(np.searchsorted(np.cumsum(self._selected[order]), wanted)) + 1)]

    def _promising_lists(self, seen: ListIds, floor: float, tolerated: float) -> ListIds:
        """Lists to scan as well, most promising first, so that fewer than `tolerated` better rows stay unseen."""
        expected = self._selected * self._tuning.tail((floor - self._closeness) / self._ivf.residual_rms)
        expected[seen] = 0
        order = np.argsort(-expected)
        unseen = expected.sum() - np.cumsum(expected[order])
        needed = 0 if expected.sum() <= tolerated else int(np.argmax(unseen <= tolerated)) + 1
        return order[:needed][self._selected[order[:needed]] > 0]

    def _cheapest_way(self, lists: ListIds, depth: int) -> tuple[str, float]:
        """The cheaper way to search these lists, exact or by codes, and the microseconds it should take."""
        costs, ivf = self._tuning.costs, self._ivf
        codes = costs.per_list * len(lists) + costs.per_code * int(ivf.sizes[lists].sum()) + costs.per_row * depth
        exact = costs.per_selected * self._selection.count + costs.per_row * int(self._selected[lists].sum())
        return (EXACT, exact) if exact < codes and not self._codes_only else (CODES, codes)

    def _search_lists(self, lists: ListIds, depth: int, k: int) -> tuple[Similarities, RowIds]:
        """The k best selected rows of these lists, by the cheaper way: (similarities float32, rows int64)."""
        if self._cheapest_way(lists, depth)[0] == EXACT:
            wanted = np.zeros(self._ivf.list_count, bool)
            wanted[lists] = True
            rows = self._selection.rows
            rows = rows[wanted[self._ivf.list_of[rows]]]
        else:
            closeness = self._closeness[lists]
            # In ascending order, because the disk is read faster in one direction than to and fro.
            rows = np.sort(self._ivf.scan_lists(self._rotated, lists, closeness, depth, self._selection))
        return self._score_and_keep_best_rows(rows, k)

    def _compare_all_selected_rows(self, k: int) -> tuple[Similarities, RowIds, SegmentPlan]:
        """The k best of all selected rows, compared exactly."""
        similarity, rows = dot_products.nearest_rows(self._query[0], self._vectors, self._selection, k)
        return similarity, rows, SegmentPlan(EXACT, self._selection.count, self._compared + self._selection.count)

    def _score_and_keep_best_rows(self, rows: RowIds, k: int) -> tuple[Similarities, RowIds]:
        self._compared += len(rows)
        similarity = dot_products.inner_products(self._query, self._vectors, rows)[0]
        top = dot_products.top_k(similarity, k)
        return similarity[top], rows[top]
