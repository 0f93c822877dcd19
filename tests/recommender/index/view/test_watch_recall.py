"""Where recall is watched: web processes have a monitor, answers are offered to it, health tells what it found."""

import numpy as np
import pytest

from recommender import index as index_package
from recommender.index import Filter, find_nearest_listings
from recommender.index.view import process
from recommender.index.view.health import IndexHealth
from recommender.index.view.recall_monitor import RecallMonitor
from recommender.index.view.recall_window import Recall
from recommender.search import retrieval
from recommender.search.retrieval import SearchRequest, search_by_vectors
from tests.recommender.index import catalogue
from tests.servers.waiting import runs_thread, wait_for

from .scripted import ScriptedSearch, judge, judged


@pytest.fixture
def own_monitor(fresh_index, settings):
    """What a web process starts with."""
    settings.INDEX_MONITOR_SHARE, settings.INDEX_RECALL_TARGET = 1.0, 0.98
    settings.INDEX_REFRESH_MS = 20
    process.own_monitor.forget()
    yield process.own_monitor.get_if_made
    if own := process.own_monitor.get_if_made():
        own.stop()
    process.own_monitor.forget()
    fresh_index.stop()


@pytest.fixture
def query():
    return catalogue.unit(0).astype(np.float32)[np.newaxis]


def test_a_web_process_starts_one_and_others_sample_nothing(own_monitor, model, fresh_index, query):
    catalogue.add_many(model, 8)
    fresh_index.refresh()
    state = fresh_index.get_state()
    found = find_nearest_listings(state, query, 4, Filter())
    index_package.offer_search_to_recall_monitor(state, query, 4, Filter(), (), found)
    assert own_monitor() is None
    index_package.start_index_threads()
    started = own_monitor()
    index_package.start_index_threads()
    assert own_monitor() is started
    assert runs_thread("index-monitor")
    index_package.offer_search_to_recall_monitor(state, query, 4, Filter(), (), found.select_entries(np.arange(1)))
    wait_for(lambda: judged(own_monitor()) == 1)
    assert index_package.report_health().recall["all"].mean == 0.25


def test_a_share_of_nothing_starts_none(own_monitor, settings):
    settings.INDEX_MONITOR_SHARE = 0.0
    index_package.start_index_threads()
    assert own_monitor() is None
    assert index_package.report_health().recall["all"] == Recall()


@pytest.fixture
def offered(monkeypatch):
    offered = []
    monkeypatch.setattr(retrieval, "offer_search_to_recall_monitor", lambda *search: offered.append(search))
    return offered


def test_the_first_search_of_an_answer_is_offered_with_what_it_was_asked(
    model, fresh_index, offered, query, monkeypatch
):
    monkeypatch.setattr(retrieval, "CANDIDATES", 10)
    catalogue.add_many(model, 30)
    fresh_index.refresh()
    state, where = fresh_index.get_state(), Filter(min_price=0.5)
    # So that the answer asks again and again.
    monkeypatch.setattr(retrieval, "read_showable_listings", lambda ids, ask: {})
    search_by_vectors(state, query, model.pk, SearchRequest(filter=where, limit=1))
    [(seen, vectors, k, asked, exclude, found)] = offered
    assert (seen, vectors, k, asked, exclude) == (state, query, 10, where, ())
    assert len(found) == 10


def test_an_empty_answer_is_offered_too(model, fresh_index, offered, query):
    fresh_index.refresh()
    search_by_vectors(fresh_index.get_state(), query, model.pk, SearchRequest())
    assert [len(found) for *_, found in offered] == [0]


def test_low_recall_is_said_beside_what_else_is_wrong(own_monitor, model, fresh_index, monkeypatch):
    monitor = RecallMonitor(1.0, search=ScriptedSearch())
    process.own_monitor.set(monitor)
    judge(monitor, {1: 0.9}, times=100)
    assert index_package.report_health().problem.startswith("searches find 25.0%")
    monkeypatch.setattr(fresh_index, "health", lambda: IndexHealth(usable=True, problem="serving snapshot 1"))
    assert index_package.report_health().problem.startswith("serving snapshot 1; searches find 25.0%")
