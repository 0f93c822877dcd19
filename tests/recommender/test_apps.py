"""What Django's start gives the index: functions that know models, and load them only where they are used."""

import pytest

from recommender import registry
from recommender.embedding import self_test
from recommender.embedding.embedder_cache import embedders
from recommender.errors import ModelNotReady
from recommender.index.model_hooks import get_model_hooks
from tests.recommender.queue_rows import make_model


@pytest.fixture
def models(transactional_db):
    return make_model("active", version="m1"), make_model("standby", version="m2")


@pytest.fixture
def loaded(models, monkeypatch):
    """The ids of models that this process has loaded; loading another one works."""
    loaded = set()
    monkeypatch.setattr(embedders, "is_loaded", lambda model_id: model_id in loaded)
    monkeypatch.setattr(embedders, "load_embedder", lambda model: loaded.add(model.pk))
    return loaded


def test_a_process_that_never_searched_with_a_photo_loads_no_model_for_a_flip(models, loaded):
    old, new = models
    get_model_hooks().prepare_successor_embedder(old.pk, new.pk)
    assert loaded == set()


def test_a_process_that_searches_with_photos_loads_and_tests_the_new_model(models, loaded, monkeypatch):
    old, new = models
    loaded.add(old.pk)
    tested = []
    monkeypatch.setattr(self_test, "check_embedder", lambda model, embedder: tested.append(model.pk))
    get_model_hooks().prepare_successor_embedder(old.pk, new.pk)
    assert loaded == {old.pk, new.pk}
    assert tested == [new.pk]


def test_a_new_model_that_cannot_be_loaded_is_told(models, monkeypatch, settings, tmp_path):
    old, new = models
    settings.MODELS_ROOT = tmp_path
    monkeypatch.setattr(embedders, "is_loaded", lambda model_id: model_id == old.pk)
    with pytest.raises(ModelNotReady, match=r"recipe\.json is missing"):
        get_model_hooks().prepare_successor_embedder(old.pk, new.pk)


def test_photos_are_counted_as_the_registry_counts_them(models):
    counted = get_model_hooks().count_photos(models[0])
    assert (counted.photos, counted.waiting) == (0, 0)
    assert counted.waiting == registry.measure_progress(models[0]).waiting
