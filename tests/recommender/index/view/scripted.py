"""A monitor of recall that repeats searches of a script."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.index import Filter
from recommender.index.view.recall_monitor import AnsweredSearch
from tests.recommender.candidates import listings_found
from tests.servers.waiting import wait_for

VECTORS = np.eye(1, 4, dtype=np.float32)
RIGHT = {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.6}
EVERYTHING = Filter()


@dataclass(eq=False)
class StubState:
    """All that a monitor asks of a state, but the search."""

    rows: int = 1_000
    dim: int = 16
    model_id: int = 1


STATE = StubState()


class ScriptedSearch:
    """Finds the same whatever is asked, and writes down what was. `on_search` is called meanwhile; it may raise."""

    def __init__(self, exact=RIGHT, on_search=lambda: None):
        self.exact, self.on_search = listings_found(exact), on_search
        self.asked = []

    def __call__(self, state, vectors, k, where, exclude=(), *, exact):
        assert exact
        self.asked.append((state, vectors, k, where, exclude))
        self.on_search()
        return self.exact


def offer(monitor, found=RIGHT, *, state=STATE, k=4, where=EVERYTHING, exclude=()):
    """Whether the monitor takes this search."""
    return monitor.offer_search(state, VECTORS, k, where, exclude, listings_found(found))


def offer_until_judged(monitor, times, found=RIGHT):
    """Offer the same search again and again until so many were judged."""

    def are_judged():
        offer(monitor, found)
        return judged(monitor) >= times

    wait_for(are_judged)


def judge(monitor, found, *, times=1, where=EVERYTHING, state=STATE):
    """As the monitor's thread does, at once."""
    for _ in range(times):
        monitor.judge_search(AnsweredSearch(state, VECTORS, 4, where, frozenset(), listings_found(found)))


def judged(monitor):
    return monitor.window.recall_by_kind()["all"].judged


def mean_recall(monitor):
    return monitor.window.recall_by_kind()["all"].mean
