"""Measures the recall of live searches: a sample of them is repeated exactly, while requests go on.

A sampled search is repeated on the very state that answered it, so that no change of the index passes for a miss.
The thread is of low priority, computes on one core, and rests longer than it works: requests never wait for it.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from listings.finding.filterable import Filter
from recommender.index.ann.recall import recall_of_listings
from recommender.index.errors import SnapshotDamaged
from recommender.index.rows.arrays import Vectors
from recommender.index.thread_priority import limit_faiss_to_one_core, lower_priority

from .candidates import Candidates
from .recall_window import JudgedSearch, RecallWindow
from .search import find_nearest_listings
from .state import State

logger = logging.getLogger(__name__)

REST_SECONDS = 3.0
REST_RATIO = 20  # a rest lasts this many times as long as the work, so that judging takes less than 5 % of one core
REST_AFTER_FAULT_SECONDS = 60.0
VALUE_BYTES = 2  # vectors are stored in float16
MAX_VECTOR_BYTES = 4 * 1024**3  # an exact search reads all vectors: more would push out what searches need in memory
# What FAISS, numpy and mapped files raise over one search. The thread goes on, because the next one may be fine.
FAULTS = (SnapshotDamaged, RuntimeError, ValueError, IndexError, MemoryError, OSError)


@dataclass(frozen=True, slots=True)
class AnsweredSearch:
    """A search that was answered, and all it takes to repeat it. `vectors`: float32[m, dim], L2-normalised."""

    state: State
    vectors: Vectors
    k: int
    where: Filter
    exclude: frozenset[int]
    found: Candidates


class RecallMonitor:
    """Judges a `share` (0..1) of the searches it is offered, one at a time, with `rest` seconds at least between two.

    `search` repeats them: find_nearest_listings, or what stands for it in tests.
    """

    def __init__(
        self, share: float, *, rest: float = REST_SECONDS, search: Callable[..., Candidates] = find_nearest_listings
    ) -> None:
        self.window = RecallWindow()
        self._share, self._rest, self._search = share, rest, search
        # This lock is held from the moment a search is taken until it is judged and the rest is over: a second search
        # that waited would keep a state in memory.
        self._free = threading.Lock()
        self._taken: queue.SimpleQueue[AnsweredSearch | None] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    @property
    def is_busy(self) -> bool:
        """Whether it judges a search or rests after one, and so takes no other."""
        return self._free.locked()

    def offer_search(
        self,
        state: State,
        vectors: Vectors,
        k: int,
        where: Filter,
        exclude: Collection[int],
        found: Candidates,
    ) -> bool:
        """Perhaps take this search, to judge it later; never waits. Returns whether it did.

        The arguments are those of find_nearest_listings, and its answer.
        """
        if random.random() >= self._share or self._stopped.is_set():  # noqa: S311 - this chance guards no secret
            return False
        if state.rows * state.dim * VALUE_BYTES > MAX_VECTOR_BYTES:
            return False
        if not self._free.acquire(blocking=False):
            return False
        self._taken.put(AnsweredSearch(state, vectors, k, where, frozenset(exclude), found))
        self.start()  # a fault that nobody expected may have ended the thread
        return True

    def start(self) -> None:
        """Judge on a thread from now on; call it after the fork."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._judge_until_stopped, name="index-monitor", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        # The thread may be waiting for a search, and would wait for ever.
        self._taken.put(None)
        if self._thread is not None:
            self._thread.join()

    def judge_search(self, search: AnsweredSearch) -> None:
        """Repeat it exactly, now, and record how much of that was found."""
        exact = self._search(search.state, search.vectors, search.k, search.where, search.exclude, exact=True)
        recall = recall_of_listings(search.found, exact)
        if recall is not None:
            filtered = is_filtered(search.where)
            self.window.record(JudgedSearch(recall, search.state.model_id, filtered, time.monotonic()))

    def _judge_until_stopped(self) -> None:
        lower_priority()
        limit_faiss_to_one_core()
        while (search := self._taken.get()) is not None:
            failed, began = False, time.monotonic()
            try:
                self.judge_search(search)
            except FAULTS as exc:
                logger.warning("a sampled search could not be repeated exactly: %s", exc)
                failed = True
            finally:
                del search  # during the rest it would hold a state whose files may be waiting to be deleted
                self._stopped.wait(rest_seconds(self._rest, time.monotonic() - began, failed=failed))
                self._free.release()


def rest_seconds(least: float, worked: float, *, failed: bool) -> float:
    """How long to rest after so many seconds of work."""
    return max(least, REST_RATIO * worked, REST_AFTER_FAULT_SECONDS if failed else 0.0)


def is_filtered(where: Filter) -> bool:
    """Whether any condition beyond the default status is set; `near` without a radius only sorts."""
    conditions = where if where.radius_km is not None else replace(where, near=None)
    return conditions != Filter()
