"""Measures a new inverted file on queries it has not seen, and sets its effort to what the recall target needs.

Queries are the midpoints of two rows that training left out: photos that people search with are less like the stored
ones than these are among themselves, and midpoints are so by about as much. Each is compared with all rows but its two.
Twice: among all rows, and among the rows of those lists that are farthest from the query and together hold half of the
rows, which is the hardest filter there is: nothing near, and too many rows to compare them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.rows.vector_file import VectorFile, mapped_bytes, release_pages

from . import dot_products
from .ivf import Ivf
from .probing import MEASURED_K, Costs, Effort, Probe, Tail, Tuning

T = TypeVar("T")

QUERIES, FILTERED_QUERIES = 200, 50
PAIRED_ROWS = 50_000  # rows that each query is paired with to learn the tail
LISTS = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
PLAIN_TOLERANCE = 1.0  # the first look is wide enough but for the strangest queries
TOLERANCES = (4.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
DEPTHS = (100, 200, 400, 800, 1600)
ASSUMED = Costs(per_list=8.0, per_code=0.0125, per_row=0.2, per_selected=0.003)
TAIL_POINTS = 200
ROWS = {"plain": "all", "filtered": "far half"}
OPPOSITE = 1e-3  # two rows that point away from each other have no midpoint of length 1
TIE = 1e-6  # similarities closer than this differ by rounding only
TIMED = 9  # queries
RAREST = 20  # pairs, at least, that a point of the tail rests on
PLAIN_MARGIN, FILTERED_MARGIN = 0.9, 0.5  # of what may be missed is kept in hand, as these queries are a sample


@dataclass(frozen=True)
class Judged:
    """`curve`: recall and milliseconds of each effort tried; the recalls are those of the effort that was chosen."""

    tuning: Tuning
    recall: float
    filtered_recall: float
    curve: list[dict[str, Any]]


@dataclass(frozen=True)
class _Case:
    """A held-out query, the two rows it was made of, the ten similarities of the truth, and among which rows it asks:
    made when it is asked, as 250 bitmaps of ten million rows would not fit into memory."""

    query: np.ndarray
    pair: np.ndarray
    truth: np.ndarray
    among: Callable[[], RowBitmap]


def _of_lists(ivf: Ivf, chosen: np.ndarray) -> RowBitmap:
    """The rows of some lists, bool[lists]."""
    per_list = np.where(chosen, ivf.sizes, 0)
    return RowBitmap(chosen[ivf.list_of], count=int(per_list.sum()), per_list=(ivf.list_of, per_list))


def calibrate(
    ivf: Ivf, vectors: VectorFile, queries: np.ndarray, *, target: float, memory: int, tick: Callable[[], None]
) -> Judged:
    """`queries`: int64[q], rows that training left out · memory: bytes of vectors that may be mapped, about."""
    pairs = np.stack([queries, np.roll(queries, 1)], axis=1)
    asked = _midpoints(vectors, pairs)
    far = _far_lists(ivf, asked[:FILTERED_QUERIES])
    plain_truth, far_truth = _truth(ivf, vectors, pairs, asked, far, tick)
    everything = _of_lists(ivf, np.ones(ivf.lists, bool))
    plain = [_Case(query, pairs[n], plain_truth[n], lambda: everything) for n, query in enumerate(asked)]
    filtered = [_Case(asked[n], pairs[n], far_truth[n], partial(_of_lists, ivf, far[n])) for n in range(len(far))]
    tail = _tail(ivf, vectors, asked, pairs)
    mapped = vectors.open_map(scattered=True)
    with threadpool_limits(1):  # as where searches are answered
        start = Effort(min(LISTS[-1], ivf.lists), PLAIN_TOLERANCE, DEPTHS[-1])
        costs = _costs(ivf, mapped, asked)
        release_pages(mapped)
        bench = _Bench(ivf, mapped, memory, Tuning(tail, costs, start, start), tick)
        return bench.tune(plain, filtered, target)


class _Bench:
    """Tries efforts on cases, and keeps what came out."""

    def __init__(self, ivf: Ivf, mapped: np.ndarray, memory: int, tuning: Tuning, tick: Callable[[], None]) -> None:
        self._ivf, self._mapped, self._tuning, self._tick = ivf, mapped, tuning, tick
        self._most_mapped = mapped_bytes() + memory
        self._curve: list[dict[str, Any]] = []

    def tune(self, plain: list[_Case], filtered: list[_Case], target: float) -> Judged:
        """The least effort that reaches the target, with a margin, in either case; else the greatest.

        With a filter the first look is as wide as without, and what is tuned is how much may be left unseen after it.
        """
        counts = [lists for lists in LISTS if lists < self._ivf.lists]
        enough = target + PLAIN_MARGIN * (1 - target)
        recall = self._settle("plain", plain, enough, lists=counts, depth=DEPTHS)
        self._set("filtered", lists=self._tuning.plain.lists)
        enough = target + FILTERED_MARGIN * (1 - target)
        filtered_recall = self._settle("filtered", filtered, enough, tolerance=TOLERANCES, depth=DEPTHS)
        return Judged(self._tuning, recall, filtered_recall, self._curve)

    def _settle(self, name: str, cases: list[_Case], enough: float, **choices: Sequence[Any]) -> float:
        """Set each of these to its least value that is enough while those after it are at their greatest."""
        for setting, values in choices.items():

            def suffices(value: Any, setting: str = setting) -> bool:
                return self._measure(name, cases, **{setting: value}) >= enough

            self._set(name, **{setting: _first(values, suffices)})
        return self._measure(name, cases)

    def _set(self, name: str, **values: Any) -> None:
        self._tuning = self._with(name, values)

    def _with(self, name: str, values: dict[str, Any]) -> Tuning:
        return replace(self._tuning, **{name: replace(getattr(self._tuning, name), **values)})

    def _measure(self, name: str, cases: list[_Case], **values: Any) -> float:
        tuning = self._with(name, values)
        found, seconds = [], 0.0
        for case in cases:
            selection = case.among().with_changes(remove=case.pair)
            began = time.perf_counter()
            probe = Probe(self._ivf, self._mapped, tuning, case.query, selection, codes_only=True)
            similarity, _, _ = probe.run(MEASURED_K)
            seconds += time.perf_counter() - began
            self._make_room()
            found.append(recall_of(similarity, case.truth))
            self._tick()
        milliseconds = seconds / len(cases) * 1000
        recall = float(np.mean(found))
        effort = asdict(getattr(tuning, name))
        self._curve.append({"rows": ROWS[name], **effort, "recall": round(recall, 4), "ms": round(milliseconds, 3)})
        return recall

    def _make_room(self) -> None:
        """Let go of the pages around the rows that were compared once they outgrow the memory they may take."""
        if mapped_bytes() > self._most_mapped:
            release_pages(self._mapped)


def _first(values: Sequence[T], suffices: Callable[[T], bool]) -> T:
    """The first value that suffices, by bisection, as all after it do; the last where none does."""
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(values[middle]) else (middle + 1, high)
    return values[low]


def recall_of(similarity: np.ndarray, truth: np.ndarray) -> float:
    """The share of the true k best that were found; rows as similar as the k-th stand for each other, as many as the
    truth has. Both float32, best first."""
    if not len(truth):
        return 1.0
    better, places = np.count_nonzero(truth > truth[-1] + TIE), len(truth)
    found = np.count_nonzero(similarity > truth[-1] + TIE)
    ties = np.count_nonzero(np.abs(similarity - truth[-1]) <= TIE)
    return float(found + min(ties, places - better)) / places


def _midpoints(vectors: VectorFile, pairs: np.ndarray) -> np.ndarray:
    """float16[q, dim], L2-normalised, of int64[q, 2] rows."""
    total = vectors.read_rows(pairs.ravel()).reshape(*pairs.shape, -1).astype(np.float32).sum(axis=1)
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), OPPOSITE)).astype(np.float16)


def _far_lists(ivf: Ivf, asked: np.ndarray) -> np.ndarray:
    """bool[q, lists]: the lists farthest from each query that hold half of the rows."""
    far = np.zeros((len(asked), ivf.lists), bool)
    for number, query in enumerate(asked):
        order = np.argsort(ivf.centroids @ ivf.turn(query)[0])
        far[number, order[: int(np.searchsorted(np.cumsum(ivf.sizes[order]), ivf.sizes.sum() / 2)) + 1]] = True
    return far


def _truth(
    ivf: Ivf, vectors: VectorFile, pairs: np.ndarray, asked: np.ndarray, far: np.ndarray, tick: Callable[[], None]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Each query's ten highest similarities, float32, among all rows but its own pair and among its far ones."""
    wide = asked.astype(np.float32)
    plain = [np.empty(0, np.float32)] * len(asked)
    filtered = [np.empty(0, np.float32)] * len(far)
    for first, block in vectors.iterate_blocks(32_768):
        similarity = wide @ block.astype(np.float32).T
        own = np.argwhere((pairs >= first) & (pairs < first + len(block)))
        similarity[own[:, 0], pairs[tuple(own.T)] - first] = -2
        list_of = ivf.list_of[first : first + len(block)]
        for number, row in enumerate(similarity):
            plain[number] = _merged(plain[number], row)
            if number < len(far):
                filtered[number] = _merged(filtered[number], row[far[number][list_of]])
        tick()
    return plain, filtered


def _merged(best: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """The ten highest of both, highest first."""
    if len(best) == MEASURED_K:
        similarity = similarity[similarity > best[-1]]
    both = np.concatenate([best, similarity])
    return both[dot_products.best(both, MEASURED_K)]


def _tail(ivf: Ivf, vectors: VectorFile, asked: np.ndarray, pairs: np.ndarray) -> Tail:
    """From the queries and evenly spaced rows."""
    rows = np.unique(np.linspace(0, vectors.rows - 1, min(PAIRED_ROWS, vectors.rows)).astype(np.int64))
    turned = np.concatenate([ivf.turn(query) for query in asked])
    closeness = turned @ ivf.centroids.T
    parts = []
    for some in np.array_split(rows, max(1, len(rows) // 10_000)):
        similarity = asked.astype(np.float32) @ vectors.read_rows(some).astype(np.float32).T
        lists = ivf.list_of[some]
        z = (similarity - closeness[:, lists]) / ivf.spreads[lists]
        parts.append(z[(some != pairs[:, :1]) & (some != pairs[:, 1:])])
    z = np.sort(np.concatenate(parts))
    # Points are dense where neighbours are: the share above each is a fixed fraction of the share above the one before.
    rank = np.unique(np.geomspace(len(z), min(RAREST, len(z)), TAIL_POINTS).astype(np.int64))[::-1]
    grid, share = z[len(z) - rank], rank / len(z)
    grid, first = np.unique(grid, return_index=True)
    return Tail(tuple(float(one) for one in grid), tuple(float(one) for one in share[first]))


def _costs(ivf: Ivf, mapped: np.ndarray, asked: np.ndarray) -> Costs:
    """Timed here; medians, so that one interruption does not count."""
    everything = RowBitmap(np.ones(len(mapped), bool))
    by_size = np.argsort(ivf.sizes)
    chosen = (by_size[-max(1, ivf.lists // 16) :], by_size[: max(2, ivf.lists // 4)])  # few large lists, many small

    def scan(lists: np.ndarray, turned: np.ndarray) -> None:
        ivf.scan(turned, lists, np.zeros(len(lists), np.float32), DEPTHS[0], everything)

    all_turned = [ivf.turn(query) for query in asked[:TIMED]]
    taken = [_microseconds(partial(scan, lists), all_turned) for lists in chosen]
    system = np.array([[len(lists), ivf.sizes[lists].sum()] for lists in chosen], float)
    per_list, per_code = np.linalg.lstsq(system, np.array(taken), rcond=None)[0]
    random = np.random.default_rng(0)
    rows = np.sort(random.choice(len(mapped), min(2_000, len(mapped) // 8), replace=False))
    member = np.ones(ivf.lists, bool)
    return Costs(
        per_list=max(float(per_list), ASSUMED.per_list / 10),
        per_code=max(float(per_code), ASSUMED.per_code / 10),
        per_row=_microseconds(lambda query: dot_products.inner_products(query[None, :], mapped, rows), asked)
        / len(rows),
        per_selected=_microseconds(lambda _: everything.rows[member[ivf.list_of[everything.rows]]], asked)
        / len(mapped),
    )


def _microseconds(work: Callable[[np.ndarray], Any], asked: Sequence[np.ndarray] | np.ndarray) -> float:
    times = []
    for query in asked[:TIMED]:
        began = time.perf_counter()
        work(query)
        times.append(time.perf_counter() - began)
    return float(np.median(times)) * 1e6
