from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from recommender.embedding import self_test
from recommender.embedding.embedder_cache import EmbedderCache
from recommender.embedding.lease_holders import find_dead_holders
from recommender.errors import ModelNotReady
from recommender.models import Embedding
from tests.fakes import FakeEmbedder
from tests.recommender.queue_rows import bulk_photos, make_model, make_photos, states

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


@pytest.fixture
def fake_models(monkeypatch):
    embedder = FakeEmbedder()
    monkeypatch.setattr(EmbedderCache, "load_embedder", lambda cache, model: embedder)
    return embedder


def test_embedding_here_needs_no_broker_and_marks_what_it_has_leased(fake_models, broker_down, monkeypatch):
    held: set[bool] = set()

    def prepare(image):
        leased = Embedding.objects.filter(state="leased").values_list("holder", flat=True)
        held.add(bool(leased) and not find_dead_holders(leased) and None not in leased)
        connection.close()
        return FakeEmbedder.prepare(fake_models, image)

    make_model()
    make_photos(20)
    monkeypatch.setattr(fake_models, "prepare", prepare)
    monkeypatch.setattr(self_test, "check_embedder", lambda model, embedder: None)
    call_command("embed", "--here")
    assert (states(), held) == ({"done": 20}, {True})


def test_embedding_here_queues_what_was_missing(fake_models):
    make_photos(2)
    make_model()
    call_command("embed", "--here")
    assert states() == {"done": 2}


@pytest.mark.parametrize(("photos", "words"), [(1, "1 photo."), (3, "3 photos.")])
def test_it_rings_and_says_how_many_wait(broker, capsys, photos, words):
    make_model()
    bulk_photos(photos)
    broker.flushall()
    call_command("embed")
    assert f"Waiting for the embedding worker: {words}" in capsys.readouterr().out
    assert broker.llen("embedding") == 1


def test_waiting_returns_when_nothing_is_left(capsys):
    make_model()
    call_command("embed", "--wait")
    assert "No embedding worker is running" in capsys.readouterr().err


def test_without_a_model_it_says_what_to_do():
    with pytest.raises(CommandError, match="models register"):
        call_command("embed")


def test_a_model_that_is_not_ready_ends_the_command_with_its_sentence(monkeypatch):
    def load(cache, model):
        raise ModelNotReady("The weights are missing.")

    monkeypatch.setattr(EmbedderCache, "load_embedder", load)
    make_model()
    bulk_photos(1)
    with pytest.raises(CommandError, match="The weights are missing"):
        call_command("embed", "--here")
