"""The state of another model is opened beside the one that answers, and takes its place only when it is whole."""

import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from recommender import registry
from recommender.embedding.embedder_cache import embedders
from recommender.index import Filter
from recommender.index.compaction.compactor import compact
from recommender.index.view import opening
from tests.fakes import FakeEmbedder
from tests.recommender.index import catalogue
from tests.recommender.queue_rows import make_model


@pytest.fixture
def other(model):
    """A second model, of another dimension, ready to be activated."""
    other = make_model("backfilling", version="m2", dim=8)
    catalogue.add_many(model, 10)
    catalogue.embed_all(other)
    compact(force=True)
    return other


@pytest.fixture
def web(index, other, settings):
    """An index that is refreshed on a thread."""
    settings.INDEX_REFRESH_MS = 10
    index.start()
    wait_for(lambda: index._state is not None)
    yield index
    index.stop()


@pytest.fixture
def gate(monkeypatch):
    """A head's snapshot that was opened is not handed over until this is set; `gate.reached` says that one was."""
    gate, real = threading.Event(), opening.open_head
    gate.reached = threading.Event()

    def waiting(*args, **options):
        opened = real(*args, **options)
        gate.reached.set()
        gate.wait(30)
        return opened

    monkeypatch.setattr(opening, "open_head", waiting)
    yield gate
    gate.set()


@contextmanager
def paused(web):
    """The refresher does nothing meanwhile, and has finished what it was doing."""
    idle, refresh = threading.Event(), web.refresh
    web.refresh = idle.set
    assert idle.wait(30)
    yield
    web.refresh = refresh


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(0.005)


def found(state):
    query = catalogue.unit(0, state.dim).astype(np.float32)
    return set(state.search(query, 100, Filter()).listing.tolist())


def test_the_old_model_answers_and_follows_the_feed_until_the_new_one_is_open(model, other, web, gate):
    registry.activate(other)
    assert gate.reached.wait(30)
    late = catalogue.add_listing(model)
    catalogue.embed_all(other)
    wait_for(lambda: late.pk in found(web.state()))
    assert web.state().model_id == model.pk
    assert web.health()["problem"] is None
    gate.set()
    wait_for(lambda: web.state().model_id == other.pk)
    assert len(found(web.state())) == 11


def test_a_head_that_goes_back_before_the_successor_is_open_changes_nothing(model, other, web, gate):
    registry.activate(other)
    assert gate.reached.wait(30)
    wait_for(lambda: web._successor is not None)
    opened = web._successor
    registry.rollback()
    wait_for(lambda: web._successor is None)
    gate.set()
    assert opened.result().base.model_id == other.pk
    catalogue.add_listing(model)
    wait_for(lambda: len(found(web.state())) == 11)
    assert web.state().model_id == model.pk


def test_a_successor_of_a_head_that_moved_on_meanwhile_is_not_taken(model, other, web, gate):
    """There and back, and the first model has a new snapshot: the second must not answer for a moment."""
    registry.activate(other)
    assert gate.reached.wait(30)
    with paused(web):  # it sees the head only after all of it
        registry.rollback()
        catalogue.add_listing(model)
        snapshot = compact(force=True).snapshot
        gate.set()
        assert web._successor.result().base.model_id == other.pk
    seen = set()
    wait_for(lambda: seen.add(web.state().model_id) or web.state().snapshot_id == snapshot)
    assert seen == {model.pk}


def test_a_successor_that_was_replaced_itself_before_it_was_open_is_not_taken(model, other, web, gate):
    third = make_model("backfilling", version="m3", dim=12)
    catalogue.embed_all(third)
    compact(force=True)
    registry.activate(other)
    assert gate.reached.wait(30)
    with paused(web):
        registry.activate(third)
        gate.set()
        assert web._successor.result().base.model_id == other.pk
    seen = set()
    wait_for(lambda: seen.add(web.state().model_id) or third.pk in seen)
    assert seen == {model.pk, third.pk}


def test_a_process_that_never_searched_with_a_photo_loads_no_model_for_a_flip(model, other, web):
    embedders.clear()
    registry.activate(other)
    wait_for(lambda: web.state().model_id == other.pk)
    assert not embedders.is_loaded(model.pk)
    assert not embedders.is_loaded(other.pk)


def test_a_process_forgets_a_retired_model_at_the_next_snapshot(model, other, web, monkeypatch):
    registry.activate(other)
    wait_for(lambda: web.state().model_id == other.pk)
    monkeypatch.setattr(embedders, "open_verified", lambda opened: FakeEmbedder())
    for used in (model, other):
        embedders.load_embedder(used)
    registry.withdraw(model)
    catalogue.embed_all(other)
    compact(force=True)
    catalogue.add_listing(other)
    snapshot = compact(force=True).snapshot
    wait_for(lambda: web.state().snapshot_id == snapshot and not embedders.is_loaded(model.pk))
    assert embedders.is_loaded(other.pk)
    embedders.clear()


def test_a_command_without_a_refresher_follows_the_flip_at_once(model, other, index):
    index.refresh()
    assert index.state().model_id == model.pk
    registry.activate(other)
    index.refresh()
    assert index.state().model_id == other.pk
