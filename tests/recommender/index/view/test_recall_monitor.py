"""Live searches are sampled and repeated exactly on a thread that nobody waits for."""

import gc
import itertools
import os
import random
import sys
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest

from recommender.index import Filter, find_nearest_listings
from recommender.index.compaction.compactor import compact
from recommender.index.view import recall_monitor
from recommender.index.view.recall_monitor import (
    MAX_VECTOR_BYTES,
    REST_AFTER_FAULT_SECONDS,
    VALUE_BYTES,
    RecallMonitor,
    is_filtered,
    rest_seconds,
)
from tests.recommender.index import catalogue
from tests.servers.waiting import runs_thread, wait_for

from .scripted import (
    RIGHT,
    STATE,
    VECTORS,
    ScriptedSearch,
    StubState,
    judge,
    judged,
    mean_recall,
    offer,
    offer_until_judged,
)

NICENESS = os.getpriority(os.PRIO_PROCESS, os.getpid())
NAME = "index-monitor"


@pytest.fixture
def watch():
    """Makes monitors of every search, that are stopped afterwards."""
    made = []

    def make(search=None, **options):
        given: dict[str, Any] = {"share": 1.0, "rest": 0.0, "search": search or ScriptedSearch()}
        made.append(RecallMonitor(**given | options))
        return made[-1]

    yield make
    for monitor in made:
        monitor.stop()


@pytest.mark.parametrize(
    ("where", "filtered"),
    [
        (Filter(), False),
        (Filter(near=(53.8, -1.5)), False),
        (Filter(near=(53.8, -1.5), radius_km=5), True),
        (Filter(max_price=9), True),
        (Filter(category_ids=frozenset()), True),
        (Filter(seller_id=3), True),
        (Filter(statuses=("sold",)), True),
        (Filter(created_after=0.0), True),
    ],
)
def test_a_search_is_filtered_when_it_leaves_out_what_others_see(where, filtered):
    assert is_filtered(where) is filtered


def test_a_right_answer_is_judged_in_the_background_with_the_same_question(watch):
    go, where, exclude = threading.Event(), Filter(max_price=9), {7}
    search = ScriptedSearch(on_search=lambda: go.wait(30))
    monitor = watch(search, rest=60.0)
    assert offer(monitor, k=4, where=where, exclude=exclude)
    exclude.add(8)  # the caller goes on with its own set
    go.set()
    wait_for(lambda: judged(monitor) == 1)
    [(state, vectors, k, asked, excluded)] = search.asked
    assert state is STATE
    assert vectors is VECTORS
    assert (k, asked, set(excluded)) == (4, where, {7})
    recall = monitor.window.recall_by_kind()
    assert recall["all"].mean == 1.0
    assert recall["filtered"].judged == 1


def test_a_search_that_has_nothing_to_find_counts_for_nothing(watch):
    monitor = watch(ScriptedSearch({}))
    judge(monitor, {})
    assert judged(monitor) == 0


def test_only_a_share_is_sampled(watch, monkeypatch):
    monitor, dice = watch(share=0.25), itertools.cycle([0.0, 0.2, 0.24, 0.25, 0.3, 0.9, 0.99, 0.5])
    monkeypatch.setattr(random, "random", lambda: next(dice))
    taken = []
    for _ in range(40):
        wait_for(lambda: not monitor.is_busy)
        taken.append(offer(monitor))
    assert taken == [True, True, True, False, False, False, False, False] * 5
    wait_for(lambda: judged(monitor) == 15)


def test_a_share_of_nothing_takes_none_and_has_no_thread(watch):
    monitor = watch(share=0.0)
    assert not any(offer(monitor) for _ in range(1_000))
    assert not runs_thread(NAME)


def test_while_one_is_judged_or_the_monitor_rests_no_other_is_taken(watch):
    go = threading.Event()
    search = ScriptedSearch(on_search=lambda: go.wait(30))
    monitor = watch(search, rest=60.0)
    assert offer(monitor)
    wait_for(lambda: search.asked)
    started = time.monotonic()
    assert not any(offer(monitor) for _ in range(200))
    assert time.monotonic() - started < 1  # and nobody waited for it
    go.set()
    wait_for(lambda: judged(monitor))
    assert not any(offer(monitor) for _ in range(200))
    assert monitor.is_busy
    assert len(search.asked) == 1


def test_a_stopped_monitor_takes_none(watch):
    monitor = watch()
    monitor.stop()
    assert not offer(monitor)


def test_it_rests_for_its_time_and_longer_after_a_long_search_or_a_fault():
    assert rest_seconds(3.0, 0.01, failed=False) == 3.0
    assert rest_seconds(3.0, 0.3, failed=False) == pytest.approx(6.0)
    assert rest_seconds(3.0, 0.3, failed=True) == REST_AFTER_FAULT_SECONDS
    assert rest_seconds(3.0, 10.0, failed=True) == pytest.approx(200.0)


def test_after_a_long_search_it_takes_another_only_when_it_has_rested(watch):
    monitor = watch(ScriptedSearch(on_search=lambda: time.sleep(0.02)))
    began = time.monotonic()
    offer_until_judged(monitor, 2)
    assert time.monotonic() - began >= 20 * 0.02


def test_the_state_is_let_go_as_soon_as_it_was_judged(watch):
    monitor, state = watch(lambda *args, exact: ScriptedSearch().exact, rest=60.0), StubState()
    held = weakref.ref(state)
    offer(monitor, state=state)
    del state
    wait_for(lambda: judged(monitor) == 1)
    wait_for(lambda: gc.collect() is not None and held() is None)
    assert monitor.is_busy  # it rests meanwhile


class Fails:
    """Raises this once."""

    def __init__(self, fault):
        self.fault, self.threads = fault, []

    def __call__(self):
        self.threads.append(threading.current_thread())
        if len(self.threads) == 1:
            raise self.fault


@pytest.mark.parametrize("fault", [RuntimeError("Error in faiss"), ValueError("shapes"), OSError("I/O error")])
def test_a_search_that_fails_is_logged_and_the_next_one_judged_on_the_same_thread(watch, caplog, monkeypatch, fault):
    monkeypatch.setattr(recall_monitor, "REST_AFTER_FAULT_SECONDS", 0.0)
    fails = Fails(fault)
    monitor = watch(ScriptedSearch(on_search=fails))
    offer_until_judged(monitor, 1)
    assert caplog.messages == [f"a sampled search could not be repeated exactly: {fault}"]
    assert len(set(fails.threads)) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_monitor_that_died_of_a_fault_nobody_thought_of_is_started_again(watch):
    fails = Fails(TypeError("something nobody thought of"))
    monitor = watch(ScriptedSearch(on_search=fails))
    offer(monitor)
    wait_for(lambda: fails.threads and not fails.threads[0].is_alive())
    offer_until_judged(monitor, 1)
    assert len(set(fails.threads)) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
def test_only_its_own_thread_gives_way_and_computes_on_one_core(watch, monkeypatch):
    import faiss

    seen, limited = [], []
    monkeypatch.setattr(
        faiss, "omp_set_num_threads", lambda cores: limited.append((cores, threading.current_thread().name))
    )

    def look():
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    monitor = watch(ScriptedSearch(on_search=look), rest=60.0)
    offer(monitor)
    wait_for(lambda: judged(monitor))
    assert seen == [max(NICENESS, 10)]
    assert limited == [(1, NAME)]
    assert os.getpriority(os.PRIO_PROCESS, os.getpid()) == NICENESS


def test_an_index_that_searches_exactly_finds_everything_and_one_that_forgets_does_not(model, index):
    catalogue.add_many(model, 40)
    compact(force=True)
    catalogue.add_many(model, 5)
    index.refresh()
    state, query = index.get_state(), catalogue.unit(0).astype(np.float32)[np.newaxis]
    right, forgetful = RecallMonitor(1.0, rest=60.0), RecallMonitor(1.0, rest=60.0)
    itself = set(find_nearest_listings(state, query, 1, Filter()).listing.tolist())
    found = find_nearest_listings(state, query, 20, Filter(), itself)
    right.offer_search(state, query, 20, Filter(), itself, found)
    forgetful.offer_search(state, query, 20, Filter(), itself, found.select_entries(np.arange(0, 20, 2)))
    wait_for(lambda: judged(right) and judged(forgetful))
    right.stop()
    forgetful.stop()
    assert mean_recall(right) == 1.0
    assert mean_recall(forgetful) == 0.5


def test_an_index_larger_than_memory_should_hold_is_not_read_whole_to_judge_it(watch):
    most = MAX_VECTOR_BYTES // VALUE_BYTES // STATE.dim
    for rows, taken in ((most, True), (most + 1, False)):
        assert offer(watch(), state=StubState(rows=rows)) is taken


def test_judged_searches_are_told_by_kind(watch):
    monitor = watch()
    judge(monitor, RIGHT, times=2)
    judge(monitor, {1: 0.9, 2: 0.8}, where=Filter(max_price=9))
    judge(monitor, {1: 0.9}, where=Filter(seller_id=1))
    by_kind = monitor.window.recall_by_kind()
    assert {kind: (recall.judged, recall.mean, recall.worst) for kind, recall in by_kind.items()} == {
        "all": (4, pytest.approx((1 + 1 + 0.5 + 0.25) / 4), 0.25),
        "filtered": (2, pytest.approx(0.375), 0.25),
        "unfiltered": (2, 1.0, 1.0),
    }
    assert 0 <= by_kind["all"].last_s < 5
