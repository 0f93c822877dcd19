"""Live searches are sampled and repeated exactly: the arithmetic, the bounds, and what a wrong index looks like."""

import gc
import itertools
import os
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from recommender import index as index_package
from recommender.index import Filter
from recommender.index.compaction.compactor import compact
from recommender.index.view import process, recall_monitor
from recommender.index.view.health import IndexHealth
from recommender.index.view.recall_monitor import BYTES, MOST_BYTES, Judged, Monitor, Recall, is_filtered, recall_of
from recommender.search.retrieval import SearchRequest, search_by_vectors
from tests.recommender.candidates import candidates
from tests.recommender.index import catalogue

VECTORS = np.eye(1, 4, dtype=np.float32)
RIGHT = {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.6}
NICENESS = os.getpriority(os.PRIO_PROCESS, os.getpid())


def answer(similarity: dict[int, float]):
    """Candidates of these listings, best first."""
    best_first = sorted(similarity.items(), key=lambda entry: (-entry[1], entry[0]))
    return candidates(*({"listing": listing, "similarity": value} for listing, value in best_first))


class ScriptedState:
    """Answers every search with the same; can be made to wait or to fail. Only exact searches are expected."""

    rows, dim = 1_000, 16

    def __init__(self, exact=RIGHT, *, model_id=1, fault=None, gate=None):
        self.exact, self.model_id, self.fault, self.gate = answer(exact), model_id, fault, gate
        self.asked = []

    def search(self, vectors, k, where, exclude=(), *, model_id=None, exact=False):
        assert exact
        self.asked.append((vectors, k, where, exclude))
        if self.gate:
            assert self.gate.wait(5)
        if self.fault:
            raise self.fault
        return self.exact


@pytest.fixture
def watch():
    """Monitors of every query, that are stopped afterwards."""
    made = []

    def make(share=1.0, target=0.98, **kwargs):
        made.append(Monitor(share, target, **{"rest": 0.0, **kwargs}))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def rests_of(one: Monitor) -> list[float]:
    """How long this monitor means to rest from now on; it does not."""
    meant = []

    class Unresting(threading.Event):
        def wait(self, timeout=None):
            meant.append(timeout)
            return self.is_set()

    one._stopped = Unresting()
    return meant


def offer(one: Monitor, state, found=RIGHT, *, k=4, where=Filter(), exclude=()):  # noqa: B008 - frozen
    one.offer(state, VECTORS, k, where, exclude, answer(found))


def offer_until(one: Monitor, state, found=RIGHT, *, judged, **query):
    wait_for(lambda: offer(one, state, found, **query) or one.figures()["all"].judged >= judged)


def wait_for(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not true within {seconds} s")
        time.sleep(0.002)


def judge(one: Monitor, state, found, *, times=1, where=Filter()):  # noqa: B008 - frozen
    """As the thread does, at once."""
    for _ in range(times):
        one._judge(recall_monitor.Query(state, VECTORS, 4, where, frozenset(), answer(found)))


def slow_recall(catalogue: dict[int, float], found: set[int], k: int) -> float:
    """The most that `found` has of any right answer: any k listings than which none left out is more alike."""
    k = min(k, len(catalogue))
    best = 0.0
    for chosen in itertools.combinations(catalogue, k):
        left_out = [catalogue[listing] for listing in catalogue if listing not in chosen]
        if max(left_out, default=-2.0) <= min(catalogue[listing] for listing in chosen):
            best = max(best, len(found.intersection(chosen)) / k)
    return best


def test_recall_is_that_of_a_slow_obvious_version_ties_included():
    dice = np.random.default_rng(5)
    seen = set()
    for _ in range(400):
        size, k = dice.integers(1, 8), int(dice.integers(1, 8))
        everything = {int(listing): float(dice.integers(0, 4)) / 4 for listing in dice.permutation(50)[:size]}
        exact = dict(sorted(everything.items(), key=lambda entry: (-entry[1], entry[0]))[:k])
        found = dice.permutation(list(everything))[: dice.integers(0, min(k, size) + 1)].tolist()
        rounding = {listing: everything[listing] + dice.uniform(-3e-7, 3e-7) for listing in found}
        expected = slow_recall(everything, set(found), k)
        assert recall_of(answer(rounding), answer(exact)) == pytest.approx(expected)
        seen.add((expected, len(set(everything.values())) < len(everything)))
    assert len(seen) > 15  # the dice made many different cases


@pytest.mark.parametrize(
    ("found", "exact", "recall"),
    [
        ({1: 0.9, 2: 0.8}, {1: 0.9, 2: 0.8}, 1.0),
        ({1: 0.9, 3: 0.7}, {1: 0.9, 2: 0.8}, 0.5),
        ({}, {1: 0.9, 2: 0.8}, 0.0),
        ({2: 0.8}, {1: 0.9}, 0.0),
        ({2: 0.9 - 5e-7}, {1: 0.9}, 1.0),
        ({2: 0.9 - 5e-6}, {1: 0.9}, 0.0),
        ({1: 0.9, 3: 0.8, 4: 0.8, 5: 0.8}, {1: 0.9, 2: 0.8}, 1.0),  # no more ties count than there is room for
        ({3: 0.8, 4: 0.8}, {1: 0.9, 2: 0.8}, 0.5),
        ({3: 0.95, 4: 0.94}, {1: 0.9, 2: 0.8}, 0.0),  # more alike than the best is a lie
        ({1: 0.8, 5: 0.1}, {1: 0.9, 2: 0.8}, 0.5),  # a needed listing is no tie as well
    ],
)
def test_recall_in_cases_one_can_count(found, exact, recall):
    assert recall_of(answer(found), answer(exact)) == recall


def test_a_search_that_has_nothing_to_find_counts_for_nothing(watch):
    one = watch()
    judge(one, ScriptedState({}), {})
    assert recall_of(answer({}), answer({})) is None
    assert one.figures()["all"].judged == 0


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
def test_a_query_is_filtered_when_it_leaves_out_what_others_see(where, filtered):
    assert is_filtered(where) is filtered


def test_a_right_answer_is_judged_in_the_background_with_the_same_question(watch):
    one, state, where, exclude = watch(rest=60.0), ScriptedState(), Filter(max_price=9), {7}
    state.gate = threading.Event()
    offer(one, state, k=4, where=where, exclude=exclude)
    exclude.add(8)  # the caller goes on with its own set
    state.gate.set()
    wait_for(lambda: one.figures()["all"].judged == 1)
    [(vectors, k, asked, excluded)] = state.asked
    assert vectors is VECTORS
    assert (k, asked, set(excluded)) == (4, where, {7})
    assert one.figures()["all"].mean == 1.0
    assert one.figures()["filtered"].judged == 1


def test_only_a_share_is_sampled(watch, monkeypatch):
    one = watch(share=0.25)
    taken = []
    monkeypatch.setattr(one, "_handed", type("Handed", (), {"put": lambda self, query: taken.append(query)})())
    monkeypatch.setattr(one, "start", one._free.release)
    monkeypatch.setattr(recall_monitor.random, "random", iter(np.arange(1000) / 1000).__next__)
    for _ in range(1000):
        offer(one, ScriptedState())
    assert len(taken) == 250
    monkeypatch.undo()
    never = watch(share=0.0)
    for _ in range(1000):
        offer(never, ScriptedState())
    assert never._thread is None


def test_while_one_is_judged_or_the_monitor_rests_no_other_is_taken(watch):
    one, gate = watch(rest=60.0), threading.Event()
    slow, other = ScriptedState(gate=gate), ScriptedState()
    offer(one, slow)
    wait_for(lambda: slow.asked)
    started = time.monotonic()
    for _ in range(200):
        offer(one, other)
    assert time.monotonic() - started < 1  # and nobody waited for it
    gate.set()
    wait_for(lambda: one.figures()["all"].judged)
    for _ in range(200):
        offer(one, other)
    time.sleep(0.05)
    assert (len(slow.asked), other.asked, one._handed.qsize()) == (1, [], 0)


def test_it_rests_for_its_time_and_longer_after_a_long_search(watch):
    one, state = watch(rest=3.0), ScriptedState()
    rests = rests_of(one)
    offer_until(one, state, judged=1)
    wait_for(lambda: rests)
    assert rests[0] == 3.0
    state.gate = type("Slow", (), {"wait": lambda self, seconds: time.sleep(0.3) or True})()
    offer_until(one, state, judged=len(state.asked) + 2)
    assert 20 * 0.3 <= max(rests) < 20 * 3


def test_the_state_is_let_go_as_soon_as_it_was_judged(watch):
    one, state = watch(rest=60.0), ScriptedState()
    held = weakref.ref(state)
    offer(one, state)
    del state
    wait_for(lambda: one.figures()["all"].judged == 1)
    wait_for(lambda: gc.collect() is not None and held() is None)
    assert one._free.locked()  # it rests meanwhile


@pytest.mark.parametrize("fault", [RuntimeError("Error in faiss"), ValueError("shapes"), OSError("I/O error")])
def test_a_search_that_fails_is_logged_and_the_next_one_judged_on_the_same_thread(watch, caplog, fault):
    one, state = watch(), ScriptedState(fault=fault)
    rests = rests_of(one)
    offer(one, state)
    wait_for(lambda: rests)
    assert caplog.messages == [f"a sampled search could not be repeated exactly: {fault}"]
    assert rests[0] == recall_monitor.REST_AFTER_FAULT
    thread, state.fault = one._thread, None
    offer_until(one, state, judged=1)
    assert one._thread is thread


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_monitor_that_died_of_a_fault_nobody_thought_of_is_started_again(watch):
    one = watch()
    offer(one, ScriptedState(fault=TypeError("something nobody thought of")))
    wait_for(lambda: not one._thread.is_alive())
    offer_until(one, ScriptedState(), judged=1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
def test_only_its_own_thread_gives_way_and_computes_on_one_core(watch, monkeypatch):
    import faiss

    seen, limited = [], []
    monkeypatch.setattr(
        faiss, "omp_set_num_threads", lambda cores: limited.append((cores, threading.current_thread().name))
    )

    def look(seconds):
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return True

    one, state = watch(rest=60.0), ScriptedState(gate=type("Look", (), {"wait": staticmethod(look)})())
    offer(one, state)
    wait_for(lambda: one.figures()["all"].judged)
    assert seen == [max(NICENESS, 10)]
    assert limited == [(1, "index-monitor")]
    assert os.getpriority(os.PRIO_PROCESS, os.getpid()) == NICENESS


def test_figures_are_of_all_and_of_each_kind_of_query(watch):
    one = watch()
    judge(one, ScriptedState(), RIGHT, times=2)
    judge(one, ScriptedState(), {1: 0.9, 2: 0.8}, where=Filter(max_price=9))
    judge(one, ScriptedState(), {1: 0.9}, where=Filter(seller_id=1))
    figures = one.figures()
    assert {kind: (recall.judged, recall.mean, recall.worst) for kind, recall in figures.items()} == {
        "all": (4, pytest.approx((1 + 1 + 0.5 + 0.25) / 4), 0.25),
        "filtered": (2, pytest.approx(0.375), 0.25),
        "unfiltered": (2, 1.0, 1.0),
    }
    assert 0 <= figures["all"].last_s < 5
    assert watch().figures()["all"] == recall_monitor.Recall(judged=0, mean=None, worst=None, last_s=None)


def test_the_window_is_bounded_and_old_queries_and_other_models_leave_it(watch):
    one = watch()
    judge(one, ScriptedState(), {}, times=10)
    judge(one, ScriptedState(), RIGHT, times=500)
    assert (one.figures()["all"].judged, one.figures()["all"].worst) == (500, 1.0)
    one._window[-2] = Judged(0.0, 1, filtered=False, at=time.monotonic() - 86_401)
    assert (one.figures()["all"].judged, one.figures()["all"].worst) == (499, 1.0)
    judge(one, ScriptedState(model_id=2), {1: 0.9, 2: 0.8})
    assert (one.figures()["all"].judged, one.figures()["all"].mean) == (1, 0.5)


def test_a_state_that_answers_wrongly_is_a_problem_once_enough_was_judged(watch):
    one = watch(target=0.98)
    judge(one, ScriptedState(), {1: 0.9, 2: 0.8, 3: 0.7}, times=99)
    assert one.problem() is None
    judge(one, ScriptedState(), {1: 0.9, 2: 0.8, 3: 0.7})
    assert one.problem() == ("searches find 75.0% of what an exact search finds (100 repeated; the target is 98.0%)")


@pytest.mark.parametrize(("missed", "problem"), [(0, False), (15, False), (17, True)])
def test_recall_a_little_below_the_target_is_no_problem(watch, missed, problem):
    one = watch(target=0.98)
    judge(one, ScriptedState(), RIGHT, times=100 - missed)
    judge(one, ScriptedState(), {1: 0.9, 2: 0.8, 3: 0.7}, times=missed)
    assert bool(one.problem()) is problem


@pytest.fixture
def own_monitor(fresh_index, settings):
    """What a web process starts with."""
    settings.INDEX_MONITOR_SHARE, settings.INDEX_RECALL_TARGET = 1.0, 0.98
    settings.INDEX_REFRESH_MS = 20
    process.own_monitor.forget()
    yield process.own_monitor.get_made
    if own := process.own_monitor.get_made():
        own.stop()
    process.own_monitor.forget()
    fresh_index.stop()


def test_a_web_process_starts_one_and_others_sample_nothing(own_monitor):
    index_package.watch_recall(ScriptedState(), VECTORS, 4, Filter(), (), answer(RIGHT))
    assert own_monitor() is None
    index_package.start()
    started = own_monitor()
    index_package.start()
    assert own_monitor() is started
    assert started._thread.is_alive()
    index_package.watch_recall(ScriptedState(), VECTORS, 4, Filter(), (), answer({1: 0.9}))
    wait_for(lambda: own_monitor().figures()["all"].judged == 1)
    assert index_package.health().recall["all"].mean == 0.25


def test_an_index_that_searches_exactly_finds_everything_and_one_that_forgets_does_not(watch, model, index):
    catalogue.add_many(model, 40)
    compact(force=True)
    catalogue.add_many(model, 5)
    index.refresh()
    state, query = index.state(), catalogue.unit(0).astype(np.float32)[np.newaxis]
    right, forgetful = watch(rest=60.0), watch(rest=60.0)
    itself = set(state.search(query, 1, Filter()).listing.tolist())
    found = state.search(query, 20, Filter(), itself)
    right.offer(state, query, 20, Filter(), itself, found)
    forgetful.offer(state, query, 20, Filter(), itself, found.select_entries(np.arange(0, 20, 2)))
    wait_for(lambda: right.figures()["all"].judged and forgetful.figures()["all"].judged)
    assert right.figures()["all"].mean == 1.0
    assert forgetful.figures()["all"].mean == 0.5


def test_a_share_of_nothing_starts_none(own_monitor, settings):
    settings.INDEX_MONITOR_SHARE = 0.0
    index_package.start()
    assert own_monitor() is None
    assert index_package.health().recall["all"] == Recall()


def test_the_first_search_of_an_answer_is_offered_with_what_it_was_asked(model, fresh_index, monkeypatch):
    from recommender.search import retrieval

    offered = []
    monkeypatch.setattr(retrieval, "watch_recall", lambda *query: offered.append(query))
    monkeypatch.setattr(retrieval, "CANDIDATES", 10)
    catalogue.add_many(model, 30)
    fresh_index.refresh()
    state, where, query = fresh_index.state(), Filter(min_price=0.5), catalogue.unit(0).astype(np.float32)[np.newaxis]
    monkeypatch.setattr(retrieval, "read_showable", lambda ids, ask: {})  # so that the answer asks again and again
    search_by_vectors(state, query, model.pk, SearchRequest(filter=where, limit=1))
    [(seen, vectors, k, asked, exclude, found)] = offered
    assert (seen, vectors, k, asked, exclude) == (state, query, 10, where, ())
    assert len(found) == 10


def test_an_empty_answer_is_offered_too(model, fresh_index, monkeypatch):
    from recommender.search import retrieval

    offered = []
    monkeypatch.setattr(retrieval, "watch_recall", lambda *query: offered.append(query))
    fresh_index.refresh()
    search_by_vectors(fresh_index.state(), catalogue.unit(0).astype(np.float32)[np.newaxis], model.pk, SearchRequest())
    assert [len(found) for *_, found in offered] == [0]


def test_low_recall_is_said_beside_what_else_is_wrong(own_monitor, model, fresh_index, monkeypatch):
    one = Monitor(1.0, 0.98)
    process.own_monitor.set(one)
    judge(one, ScriptedState(), {1: 0.9}, times=100)
    assert index_package.health().problem.startswith("searches find 25.0%")
    monkeypatch.setattr(fresh_index, "health", lambda: IndexHealth(usable=True, problem="serving snapshot 1"))
    assert index_package.health().problem.startswith("serving snapshot 1; searches find 25.0%")


def test_an_index_larger_than_memory_should_hold_is_not_read_whole_to_judge_it():
    asked = []
    for rows in (MOST_BYTES // BYTES // ScriptedState.dim, MOST_BYTES // BYTES // ScriptedState.dim + 1):
        one, state = Monitor(1.0, 0.98, rest=0), ScriptedState()
        state.rows = rows
        one.offer(state, VECTORS, 4, Filter(), (), answer(RIGHT))
        one.stop()
        asked.append(len(state.asked))
    assert asked == [1, 0]
