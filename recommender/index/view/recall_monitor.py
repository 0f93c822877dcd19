"""How much of the exact answer do live searches give? A sample of them is repeated exactly, beside the requests.

A sampled query is repeated against the very state that answered it, so that no change of the index passes for a miss.
The thread is of low priority, computes on one core, and rests longer than it works: requests never wait for it.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recommender.index.errors import SnapshotDamaged
from recommender.index.rows.filter import Candidates, Filter
from recommender.index.thread_priority import lower_priority, use_one_core

from .state import State

logger = logging.getLogger(__name__)

WINDOW = 500  # judged queries that are remembered
WINDOW_SECONDS = 86_400.0  # older ones say nothing about the index of today
REST_SECONDS = 3.0
REST_TIMES = 20  # after a long repetition the rest is this many times as long: at most 5 % of one core
REST_AFTER_FAULT = 60.0
BYTES, MOST_BYTES = 2, 4 * 1024**3  # of vectors: reading more of them would push out what searches need
TIE = 1e-6  # cosines closer than this differ by rounding only
ENOUGH = 100  # judged queries before their mean is worth an alarm
TOLERANCE = 0.02  # what a mean of that many may lie below the target by chance
# What FAISS, numpy and mapped files raise over one query; the next one is none the worse for it.
FAULTS = (SnapshotDamaged, RuntimeError, ValueError, IndexError, MemoryError, OSError)


@dataclass(frozen=True, slots=True)
class Query:
    """A search that was answered, and all it takes to repeat it. `vectors`: float32[m, dim], L2-normalised."""

    state: State
    vectors: np.ndarray
    k: int
    where: Filter
    exclude: frozenset[int]
    found: Candidates


@dataclass(frozen=True, slots=True)
class Judged:
    """`recall` in 0..1; `at` in seconds of time.monotonic()."""

    recall: float
    model_id: int
    filtered: bool
    at: float


@dataclass(frozen=True, slots=True)
class Recall:
    """Of judged queries: how many, their mean and worst recall in 0..1, seconds since the last; None without any."""

    judged: int = 0
    mean: float | None = None
    worst: float | None = None
    last_s: float | None = None


class Monitor:
    """Judges a `share` (0..1) of the queries it is offered, one at a time, with `rest` seconds at least between two."""

    def __init__(self, share: float, target: float, *, rest: float = REST_SECONDS) -> None:
        self._share, self._target, self._rest = share, target, rest
        self._free = threading.Lock()  # held from taking a query until it was judged and the rest is over
        self._handed: queue.SimpleQueue[Query | None] = queue.SimpleQueue()
        self._window: deque[Judged] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def offer(
        self,
        state: State,
        vectors: np.ndarray,
        k: int,
        where: Filter,
        exclude: Collection[int],
        found: Candidates,
    ) -> None:
        """Perhaps judge this answer later; never waits. The arguments are those of State.search, and its answer."""
        if random.random() >= self._share or self._stopped.is_set():  # noqa: S311 - a sample, not a secret
            return
        if state.rows * state.dim * BYTES > MOST_BYTES:
            return
        if self._free.acquire(blocking=False):
            self._handed.put(Query(state, vectors, k, where, frozenset(exclude), found))
            self.start()  # again, if a fault of its own ended it

    def start(self) -> None:
        """Judge on a thread from now on; call it after the fork."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="index-monitor", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._handed.put(None)
        if self._thread is not None:
            self._thread.join()

    def figures(self) -> dict[str, Recall]:
        """Recall of "all" queries in the window, and of the "filtered" and the "unfiltered" ones; all of one model."""
        return by_kind(self._judged())

    def problem(self) -> str | None:
        """What is wrong in words, once enough was judged to know."""
        recall = summary(self._judged())
        if recall.mean is None or recall.judged < ENOUGH or recall.mean >= self._target - TOLERANCE:
            return None
        return (
            f"searches find {recall.mean:.1%} of what an exact search finds ({recall.judged} repeated; "
            f"the target is {self._target:.1%})"
        )

    def _judged(self) -> list[Judged]:
        """What the window holds of the newest model, not too old."""
        with self._lock:
            window = list(self._window)
        since = time.monotonic() - WINDOW_SECONDS
        return [one for one in window if one.model_id == window[-1].model_id and one.at > since]

    def _run(self) -> None:
        lower_priority()
        use_one_core()
        while (query := self._handed.get()) is not None:
            rest, started = self._rest, time.monotonic()
            try:
                self._judge(query)
            except FAULTS as exc:
                logger.warning("a sampled search could not be repeated exactly: %s", exc)
                rest = max(rest, REST_AFTER_FAULT)
            finally:
                del query  # and with it the state, whose files may be waiting to be deleted
                self._stopped.wait(max(rest, REST_TIMES * (time.monotonic() - started)))
                self._free.release()

    def _judge(self, query: Query) -> None:
        exact = query.state.search(query.vectors, query.k, query.where, query.exclude, exact=True)
        share = recall_of(query.found, exact)
        if share is not None:
            judged = Judged(share, query.state.model_id, is_filtered(query.where), time.monotonic())
            with self._lock:
                self._window.append(judged)


def recall_of(found: Candidates, exact: Candidates) -> float | None:
    """recall@k in 0..1: the share of the exact top k that was found; None where nothing was to be found.

    Listings within TIE of the k-th similarity are as good as each other: any of them counts, up to their number.
    """
    if not len(exact):
        return None
    last = float(exact.similarity[-1])
    above = exact.similarity > last + TIE
    needed, tied = exact.listing[above], exact.listing[~above]
    as_good = np.isin(found.listing, tied) | (np.abs(found.similarity - last) <= TIE)
    rest = np.setdiff1d(found.listing[as_good], needed)
    return (np.count_nonzero(np.isin(needed, found.listing)) + min(len(rest), len(tied))) / len(exact)


def is_filtered(where: Filter) -> bool:
    """Whether a query asks for more than what every visitor's does; a place without a radius leaves nothing out."""
    plain = where if where.radius_km is not None else replace(where, near=None)
    return plain != Filter()


def by_kind(judged: Sequence[Judged]) -> dict[str, Recall]:
    return {
        "all": summary(judged),
        "filtered": summary([one for one in judged if one.filtered]),
        "unfiltered": summary([one for one in judged if not one.filtered]),
    }


def summary(judged: Sequence[Judged]) -> Recall:
    if not judged:
        return Recall()
    recalls = [one.recall for one in judged]
    return Recall(
        judged=len(recalls),
        mean=sum(recalls) / len(recalls),
        worst=min(recalls),
        last_s=round(time.monotonic() - max(one.at for one in judged), 1),
    )
