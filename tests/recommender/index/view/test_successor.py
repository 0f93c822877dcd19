"""The state of another model is opened beside the one that answers, and takes its place only when it is whole."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest

from recommender import feed, registry
from recommender.errors import ModelNotReady
from recommender.index import Filter, ModelHooks, find_nearest_listings, set_model_hooks
from recommender.index.compaction.compactor import compact
from recommender.index.model_hooks import get_model_hooks
from recommender.index.view import opening, plan_refresh
from recommender.models import EmbeddingModel
from tests.recommender.index import catalogue
from tests.recommender.queue_rows import make_model
from tests.servers.waiting import runs_thread, wait_for


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
    wait_for(lambda: index.health().usable)
    yield index
    index.stop()


class Gate:
    """What was opened is not handed over before `set`; `reached` is set once something is, `opened` are its models."""

    def __init__(self):
        self.reached, self.opened, self._event = threading.Event(), [], threading.Event()

    def hold(self, opened):
        self.reached.set()
        self._event.wait(30)
        self.opened.append(opened.base.model_id)
        return opened

    def set(self):
        self._event.set()

    def let_all_end(self):
        self.set()
        wait_for(lambda: not runs_thread("index-successor"))


@pytest.fixture
def gate(monkeypatch):
    """Stops the head's snapshot on its way to the refresher, where it is opened in the background."""
    gate, real = Gate(), opening.open_head_snapshot
    monkeypatch.setattr(opening, "open_head_snapshot", lambda *args, **options: gate.hold(real(*args, **options)))
    yield gate
    gate.set()


@contextmanager
def paused(monkeypatch):
    """The refresher has finished what it was doing, and looks at the feed again only afterwards."""
    idle, go, read = threading.Event(), threading.Event(), feed.read_page

    def wait(*args):
        if threading.current_thread().name == "index-refresh":
            idle.set()
            assert go.wait(30)
        return read(*args)

    with monkeypatch.context() as patch:
        patch.setattr(feed, "read_page", wait)
        assert idle.wait(30)
        yield
        go.set()


class Recorder:
    """Model hooks that write down what they were asked, and which models were retired then."""

    def __init__(self):
        self.prepared, self.retired, self.fault = [], [], None

    def prepare_successor_embedder(self, serving, successor):
        self.prepared.append((serving, successor))
        if self.fault:
            raise self.fault

    def evict_retired_models(self):
        retired = EmbeddingModel.objects.filter(state=EmbeddingModel.State.RETIRED)
        self.retired.append(set(retired.values_list("pk", flat=True)))


@pytest.fixture
def recorder():
    given, recorder = get_model_hooks(), Recorder()
    set_model_hooks(ModelHooks(recorder.prepare_successor_embedder, recorder.evict_retired_models, given.count_photos))
    yield recorder
    set_model_hooks(given)


def found(state):
    query = catalogue.unit(0, state.dim).astype(np.float32)
    return set(find_nearest_listings(state, query, 100, Filter()).listing.tolist())


def test_the_old_model_answers_and_follows_the_feed_until_the_new_one_is_open(model, other, web, gate):
    registry.activate(other)
    assert gate.reached.wait(30)
    late = catalogue.add_listing(model)
    catalogue.embed_all(other)
    wait_for(lambda: late.pk in found(web.get_state()))
    assert web.get_state().model_id == model.pk
    assert web.health().problem is None
    gate.set()
    wait_for(lambda: web.get_state().model_id == other.pk)
    assert len(found(web.get_state())) == 11


def test_a_head_that_goes_back_before_the_successor_is_open_changes_nothing(model, other, web, gate):
    registry.activate(other)
    assert gate.reached.wait(30)
    registry.roll_back()
    catalogue.add_listing(model)
    wait_for(lambda: len(found(web.get_state())) == 11)  # a refresh has seen the head since
    gate.let_all_end()
    assert gate.opened == [other.pk]
    catalogue.add_listing(model)
    wait_for(lambda: len(found(web.get_state())) == 12)
    assert web.get_state().model_id == model.pk


def test_a_successor_of_a_head_that_moved_on_meanwhile_is_not_taken(model, other, web, gate, monkeypatch):
    """There and back, and the first model has a new snapshot: the second must not answer for a moment."""
    registry.activate(other)
    assert gate.reached.wait(30)
    with paused(monkeypatch):  # it sees the head only after all of it
        registry.roll_back()
        catalogue.add_listing(model)
        snapshot = compact(force=True).snapshot
        gate.let_all_end()
        assert gate.opened == [other.pk]
    seen = set()
    wait_for(lambda: seen.add(web.get_state().model_id) or web.get_state().snapshot_id == snapshot)
    assert seen == {model.pk}


def test_a_successor_that_was_replaced_itself_before_it_was_open_is_not_taken(model, other, web, gate, monkeypatch):
    third = make_model("backfilling", version="m3", dim=12)
    catalogue.embed_all(third)
    compact(force=True)
    registry.activate(other)
    assert gate.reached.wait(30)
    with paused(monkeypatch):
        registry.activate(third)
        gate.let_all_end()
        assert gate.opened == [other.pk]
    seen = set()
    wait_for(lambda: seen.add(web.get_state().model_id) or third.pk in seen)
    assert seen == {model.pk, third.pk}


def test_the_new_models_embedder_is_prepared_before_it_answers(model, other, web, recorder):
    registry.activate(other)
    wait_for(lambda: web.get_state().model_id == other.pk)
    assert recorder.prepared == [(model.pk, other.pk)]


def test_a_model_whose_embedder_does_not_work_answers_only_once_it_does(model, other, web, recorder, monkeypatch):
    recorder.fault = ModelNotReady("its files are missing")
    registry.activate(other)
    wait_for(lambda: web.health().problem == "its files are missing")
    catalogue.add_listing(model)
    wait_for(lambda: len(found(web.get_state())) == 11)
    assert web.get_state().model_id == model.pk
    recorder.fault = None
    monkeypatch.setattr(plan_refresh, "REOPEN_SECONDS", 0)
    wait_for(lambda: web.get_state().model_id == other.pk and web.health().problem is None)


def test_retired_models_are_forgotten_at_the_next_snapshot(model, other, web, recorder):
    registry.activate(other)
    wait_for(lambda: web.get_state().model_id == other.pk and recorder.retired == [set()])
    registry.retire(model)
    catalogue.embed_all(other)
    compact(force=True)
    catalogue.add_listing(other)
    snapshot = compact(force=True).snapshot
    wait_for(lambda: web.get_state().snapshot_id == snapshot and recorder.retired[-1] == {model.pk})


def test_a_command_without_a_refresher_follows_the_flip_at_once(model, other, index):
    index.refresh()
    assert index.get_state().model_id == model.pk
    registry.activate(other)
    index.refresh()
    assert index.get_state().model_id == other.pk
