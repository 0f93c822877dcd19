"""A web process says that it is ready when the first search by photo need not wait for the model."""

import pytest
from django.db import OperationalError

from ml.per_process import PerProcess
from recommender.embedding.embedder_cache import embedders
from recommender.models import EmbeddingModel
from recommender.search import warm_up

READY = "/health/ready"


@pytest.fixture
def starting(monkeypatch):
    """This process has just begun to load the active model."""
    monkeypatch.setattr(warm_up, "own_warm_up", PerProcess(warm_up.WarmUp))
    return warm_up.own_warm_up.get()


def test_a_process_is_ready_when_its_model_is_loaded(client, fresh_index, untrained, starting):
    fresh_index.refresh()
    embedders.evict_all()
    response = client.get(READY)
    assert (response.status_code, response.json()["status"]) == (503, "unavailable")
    starting.run()
    assert embedders.is_loaded(untrained.pk)
    assert client.get(READY).status_code == 200


def test_without_its_models_files_a_process_is_ready_for_all_the_rest(client, fresh_index, untrained, starting):
    EmbeddingModel.objects.update(sha256="0" * 64)
    fresh_index.refresh()
    starting.run()
    assert client.get(READY).status_code == 200


def test_without_a_model_there_is_nothing_to_wait_for(fresh_index, starting):
    starting.run()
    assert starting.is_over


def test_a_database_that_does_not_answer_is_asked_again(untrained, starting, monkeypatch):
    monkeypatch.setattr(warm_up, "RETRY_SECONDS", 0)
    found = [OperationalError("away"), untrained]

    def find_active(manager):
        answer = found.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(type(EmbeddingModel.objects), "find_active", find_active)
    starting.run()
    assert embedders.is_loaded(untrained.pk)
    assert not found
