"""Measures a new inverted file on queries it has not seen, and chooses its search parameters for the recall target.

Held-out queries are asked among all rows, and with filters that leave only rows far from them (see `held_out_queries`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from recommender.index.rows.arrays import HalfVectors, ListIds, Mask, RowIds, Similarities, Vectors
from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.rows.vector_file import VectorFile, mapped_bytes, release_pages

from . import dot_products
from .held_out_queries import Group, find_far_lists, pair_midpoints, true_similarities
from .ivf import Ivf
from .probing import MEASURED_K, Costs, Probe, SearchParams, Tail, Tuning
from .recall import recall_of_similarities

T = TypeVar("T")

QUERIES, FILTERED_QUERIES, FAR_QUERIES = 200, 50, 50
FILTERED_SHARE, FAR_SHARES = 0.5, (0.1, 0.01)  # of the rows, the farthest of which a filter leaves
PAIRED_ROWS = 50_000  # compared with each query to measure the tail; the similarities of all pairs are sorted in memory
# Least effort first, because the least that suffices is found by bisection.
LISTS = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
# Without a filter the first scan is wide enough for nearly every query, so a second one is rarely wanted.
PLAIN_TOLERANCE = 1.0
TOLERANCES = (4.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
DEPTHS = (100, 200, 400, 800, 1600)
FAR_DEPTHS = (*DEPTHS, 3200, 6400)
# As measured once on a server. The costs per list and per code are fitted to so few searches that one of them could
# come out as nothing, so neither ever counts for less than a tenth of these.
ASSUMED_COSTS = Costs(per_list=8.0, per_code=0.0125, per_row=0.2, per_selected=0.003)
TAIL_POINTS = 200
ROWS = {
    "plain": "all",
    "filtered": "far half",
    "far": "farthest",
}  # how the manifest names, for people, the rows that were searched among
TIMED_QUERIES = 9
RAREST_PAIRS = 20  # pairs of query and row beyond the last point of the tail: a share of fewer would be chance
# The queries are a sample, so this share of what the target allows to be missed is kept in reserve.
PLAIN_MARGIN, FILTERED_MARGIN = 0.9, 0.5


@dataclass(frozen=True)
class Calibration:
    """The chosen parameters and their measured recalls; `curve` holds every setting tried, with its recall and ms.

    filtered_recall: the least that any kind of filter has
    """

    tuning: Tuning
    recall: float
    filtered_recall: float
    curve: list[dict[str, object]]


@dataclass(frozen=True)
class _HeldOutQuery:
    """A query, the two rows it was made of, its true best similarities, and the rows it asks among.

    `among` makes the bitmap when the query is asked: 250 bitmaps of ten million rows would not fit into memory.
    """

    query: HalfVectors
    pair: RowIds
    truth: Similarities
    among: Callable[[], RowBitmap]


Cases = list[_HeldOutQuery]


def _rows_of_lists(ivf: Ivf, chosen: Mask) -> RowBitmap:
    """The rows of the lists that `chosen`, bool[lists], names."""
    per_list = np.where(chosen, ivf.sizes, 0)
    return RowBitmap(chosen[ivf.list_of], count=int(per_list.sum()), per_list=(ivf.list_of, per_list))


def calibrate_ivf(
    ivf: Ivf, vectors: VectorFile, queries: RowIds, *, target: float, memory: int, tick: Callable[[], None]
) -> Calibration:
    """Measure the tail and the costs, then choose the parameters.

    queries: int64[q], rows that training left out · target: recall at MEASURED_K · memory: bytes of vectors that may be
    mapped at a time, about · tick: called between steps
    """
    pairs = np.stack([queries, np.roll(queries, 1)], axis=1)
    asked = pair_midpoints(vectors, pairs)
    plain, filtered, *far = _make_cases(ivf, vectors, pairs, asked, tick)
    tail = _measure_tail(ivf, vectors, asked, pairs)
    mapped = vectors.open_map(scattered=True)
    with threadpool_limits(1):  # web processes compute a search on one thread, so costs must be measured on one
        # Parameters that are not chosen yet stand at their greatest, so that recall is lost only by the one being
        # chosen.
        start = SearchParams(min(LISTS[-1], ivf.list_count), PLAIN_TOLERANCE, DEPTHS[-1])
        costs = _measure_costs(ivf, mapped, asked)
        release_pages(mapped)
        far_start = replace(start, depth=FAR_DEPTHS[-1])
        tuner = _Tuner(ivf, mapped, memory, Tuning(tail, costs, start, start, far_start), tick)
        return tuner.choose_params(plain, filtered, far, target)


def _make_cases(
    ivf: Ivf, vectors: VectorFile, pairs: RowIds, midpoints: HalfVectors, tick: Callable[[], None]
) -> list[Cases]:
    """Midpoints among all rows, midpoints among the far half of them, and for each of FAR_SHARES rows among that."""
    rows = pairs[:FAR_QUERIES, 0]
    asked = np.concatenate([midpoints, vectors.read_rows(rows)])
    own = np.concatenate([pairs, np.stack([rows, rows], axis=1)])
    half, alone = range(min(FILTERED_QUERIES, len(midpoints))), range(len(midpoints), len(asked))
    groups = [Group(range(len(midpoints))), Group(half, find_far_lists(ivf, asked[half], FILTERED_SHARE))]
    groups += [Group(alone, find_far_lists(ivf, asked[alone], share)) for share in FAR_SHARES]
    truth = true_similarities(ivf, vectors, own, asked, groups, tick)
    everything = _rows_of_lists(ivf, np.ones(ivf.list_count, bool))

    def choose_rows(lists: Mask | None, place: int) -> Callable[[], RowBitmap]:
        return (lambda: everything) if lists is None else partial(_rows_of_lists, ivf, lists[place])

    return [
        [
            _HeldOutQuery(asked[number], own[number], best[place], choose_rows(group.lists, place))
            for place, number in enumerate(group.numbers)
        ]
        for group, best in zip(groups, truth, strict=True)
    ]


class _Tuner:
    """Tries parameters on queries, and records what came out."""

    def __init__(self, ivf: Ivf, mapped: HalfVectors, memory: int, tuning: Tuning, tick: Callable[[], None]) -> None:
        self._ivf, self._mapped, self._tuning, self._tick = ivf, mapped, tuning, tick
        self._most_mapped = mapped_bytes() + memory
        self._curve: list[dict[str, object]] = []

    def choose_params(self, plain: Cases, filtered: Cases, far: list[Cases], target: float) -> Calibration:
        """The least parameters that reach the target with a margin, without and with filters; else the greatest.

        With a filter the first scan is as wide as without; what is chosen is how much may stay unseen after it.
        `far`: filters that leave different shares of the rows, each of which has to reach the target.
        """
        counts = [lists for lists in LISTS if lists < self._ivf.list_count]
        enough = target + PLAIN_MARGIN * (1 - target)
        recall = self._set_least_sufficient_params("plain", [plain], enough, lists=counts, depth=DEPTHS)
        enough = target + FILTERED_MARGIN * (1 - target)
        self._set_params("filtered", lists=self._tuning.plain.lists)
        half = self._set_least_sufficient_params("filtered", [filtered], enough, tolerance=TOLERANCES, depth=DEPTHS)
        # Far rows are missed because they are many and alike, so first the depth is raised above what others need.
        chosen = self._tuning.filtered
        self._set_params("far", lists=chosen.lists, tolerance=chosen.tolerance)
        depths = [depth for depth in FAR_DEPTHS if depth >= chosen.depth]
        farthest = self._set_least_sufficient_params("far", far, enough, depth=depths)
        if farthest < enough:
            tolerances = [tolerance for tolerance in TOLERANCES if tolerance <= chosen.tolerance]
            farthest = self._set_least_sufficient_params("far", far, enough, tolerance=tolerances)
        return Calibration(self._tuning, recall, min(half, farthest), self._curve)

    def _set_least_sufficient_params(
        self, name: str, cases: list[Cases], enough: float, **choices: Sequence[object]
    ) -> float:
        """Set each parameter to the least value that is enough while those after it are at their greatest."""
        for setting, values in choices.items():

            def suffices(value: object, setting: str = setting) -> bool:
                return self._measure_recall(name, cases, **{setting: value}) >= enough

            self._set_params(name, **{setting: find_least_sufficient_value(values, suffices)})
        return self._measure_recall(name, cases)

    def _set_params(self, name: str, **values: object) -> None:
        self._tuning = self._with_params(name, values)

    def _with_params(self, name: str, values: dict[str, object]) -> Tuning:
        return replace(self._tuning, **{name: replace(getattr(self._tuning, name), **values)})

    def _measure_recall(self, name: str, cases: list[Cases], **values: object) -> float:
        """The least recall that any of these lists of queries has."""
        tuning = self._with_params(name, values)
        measured = [self._ask_queries(tuning, some) for some in cases]
        recall, milliseconds = min(one[0] for one in measured), float(np.mean([one[1] for one in measured]))
        effort = asdict(getattr(tuning, name))
        self._curve.append({"rows": ROWS[name], **effort, "recall": round(recall, 4), "ms": round(milliseconds, 3)})
        return recall

    def _ask_queries(self, tuning: Tuning, cases: Cases) -> tuple[float, float]:
        """Recall, and milliseconds a query."""
        found, seconds = [], 0.0
        for case in cases:
            selection = case.among().with_changes(remove=case.pair)
            began = time.perf_counter()
            probe = Probe(self._ivf, self._mapped, tuning, case.query, selection, codes_only=True)
            similarity, _, _ = probe.find_nearest_rows(MEASURED_K)
            seconds += time.perf_counter() - began
            self._limit_mapped_memory()
            found.append(recall_of_similarities(similarity, case.truth))
            self._tick()
        return float(np.mean(found)), seconds / len(cases) * 1000

    def _limit_mapped_memory(self) -> None:
        """Release the pages around the rows compared so far, once they take more memory than they may."""
        if mapped_bytes() > self._most_mapped:
            release_pages(self._mapped)


def find_least_sufficient_value(values: Sequence[T], suffices: Callable[[T], bool]) -> T:
    """The first value that suffices, by bisection: all after it do too. The last where none does."""
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(values[middle]) else (middle + 1, high)
    return values[low]


def _measure_tail(ivf: Ivf, vectors: VectorFile, asked: HalfVectors, pairs: RowIds) -> Tail:
    """Measure the distribution of z (see `Tail`) between the queries and evenly spaced rows."""
    rows = np.unique(np.linspace(0, vectors.rows - 1, min(PAIRED_ROWS, vectors.rows)).astype(np.int64))
    rotated = np.concatenate([ivf.rotate_query(query) for query in asked])
    closeness = rotated @ ivf.centroids.T
    parts = []
    for some in np.array_split(rows, max(1, len(rows) // 10_000)):
        similarity = asked.astype(np.float32) @ vectors.read_rows(some).astype(np.float32).T
        lists = ivf.list_of[some]
        z = (similarity - closeness[:, lists]) / ivf.residual_rms[lists]
        parts.append(z[(some != pairs[:, :1]) & (some != pairs[:, 1:])])
    z = np.sort(np.concatenate(parts))
    # Neighbours lie far out in the tail, so points are dense there: each leaves a fixed fraction of the pairs that the
    # point before it leaves.
    rank = np.unique(np.geomspace(len(z), min(RAREST_PAIRS, len(z)), TAIL_POINTS).astype(np.int64))[::-1]
    grid, share = z[len(z) - rank], rank / len(z)
    grid, first = np.unique(grid, return_index=True)
    return Tail(tuple(float(one) for one in grid), tuple(float(one) for one in share[first]))


def _measure_costs(ivf: Ivf, mapped: HalfVectors, asked: HalfVectors) -> Costs:
    """Time the steps of a search on this machine. Medians are taken, so that one interruption does not count."""
    everything = RowBitmap(np.ones(len(mapped), bool))
    by_size = np.argsort(ivf.sizes)
    chosen = (
        by_size[-max(1, ivf.list_count // 16) :],
        by_size[: max(2, ivf.list_count // 4)],
    )

    def scan(lists: ListIds, rotated: Vectors) -> None:
        ivf.scan_lists(rotated, lists, np.zeros(len(lists), np.float32), DEPTHS[0], everything)

    queries = list(asked[:TIMED_QUERIES])
    all_rotated = [ivf.rotate_query(query) for query in queries]
    taken = [_measure_median_microseconds(partial(scan, lists), all_rotated) for lists in chosen]
    system = np.array([[len(lists), ivf.sizes[lists].sum()] for lists in chosen], float)
    per_list, per_code = np.linalg.lstsq(system, np.array(taken), rcond=None)[0]
    random = np.random.default_rng(0)
    rows = np.sort(random.choice(len(mapped), min(2_000, len(mapped) // 8), replace=False))
    member = np.ones(ivf.list_count, bool)
    return Costs(
        per_list=max(float(per_list), ASSUMED_COSTS.per_list / 10),
        per_code=max(float(per_code), ASSUMED_COSTS.per_code / 10),
        per_row=_measure_median_microseconds(
            lambda query: dot_products.inner_products(query[None, :], mapped, rows), queries
        )
        / len(rows),
        per_selected=_measure_median_microseconds(
            lambda _: everything.rows[member[ivf.list_of[everything.rows]]], queries
        )
        / len(mapped),
    )


def _measure_median_microseconds(work: Callable[[T], object], queries: Sequence[T]) -> float:
    times = []
    for query in queries:
        began = time.perf_counter()
        work(query)
        times.append(time.perf_counter() - began)
    return float(np.median(times)) * 1e6
