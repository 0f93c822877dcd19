"""Loading a model is one function with one cache."""

from __future__ import annotations

import ast
import time
from pathlib import Path
from typing import Any

import pytest

from ml.recipe import ModelFilesError, Recipe
from recommender.embedding.embedder_cache import EmbedderCache, LoadPolicy
from recommender.errors import ModelNotReady
from recommender.models import EmbeddingModel
from tests.built_models import small_model_dir
from tests.fakes import FakeEmbedder
from tests.recommender.queue_rows import ROOT, at_once, make_model

PACKAGES = ("marketplace", "listings", "recommender", "workers")


@pytest.fixture
def model(db, settings):
    directory = small_model_dir(32)
    settings.MODELS_ROOT = directory.parent
    model = make_model(dim=32, version=directory.name)
    model.sha256 = Recipe.read(directory).sha256
    model.save()
    return model


class Opened(list):
    """An `open_directory` that lists what it opened."""

    def __call__(self, directory: Path) -> Any:
        time.sleep(0.05)
        self.append(directory)
        return FakeEmbedder()


@pytest.mark.django_db(transaction=True)
def test_a_model_is_opened_once_however_many_threads_ask_for_it(model):
    opened, found = Opened(), []
    cache = EmbedderCache(LoadPolicy(opened))
    at_once(lambda: found.append(cache.load_embedder(model)))
    assert opened == [small_model_dir(32)]
    assert len({id(embedder) for embedder in found}) == 1


def test_a_model_that_could_not_be_opened_is_tried_again(model):
    opened = Opened()

    def fail_once(directory: Path) -> Any:
        embedder = opened(directory)
        if len(opened) == 1:
            raise ModelFilesError("The file is locked.")
        return embedder

    cache = EmbedderCache(LoadPolicy(fail_once))
    with pytest.raises(ModelNotReady, match="The file is locked"):
        cache.load_embedder(model)
    assert not cache.is_loaded(model.pk)
    assert cache.load_embedder(model) is cache.load_embedder(model)


def test_loading_another_model_frees_the_memory_of_a_retired_one(model):
    cache = EmbedderCache(LoadPolicy(Opened()))
    cache.load_embedder(model)
    other = EmbeddingModel.objects.create(
        version="other", arch="a", dim=32, checkpoint=model.checkpoint, sha256=model.sha256, state="standby"
    )
    cache.load_embedder(other)
    assert cache.is_loaded(model.pk)
    EmbeddingModel.objects.filter(pk=model.pk).update(state="retired")
    cache.evict_model(other.pk)
    cache.load_embedder(other)
    assert (cache.is_loaded(model.pk), cache.is_loaded(other.pk)) == (False, True)


def test_no_code_of_the_site_loads_a_model_by_another_way():
    """Each runtime is opened in one place, and both places are handed to the one function that loads."""
    definitions, calls = [], []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and "embedder" in node.name and "load" in node.name:
                definitions.append((name, node.name))
            if isinstance(node, ast.Attribute) and node.attr == "load" and "Embedder" in ast.unparse(node.value):
                calls.append((name, ast.unparse(node)))
    assert definitions == [("recommender/embedding/embedder_cache.py", "load_embedder")]
    assert sorted(calls) == [
        ("recommender/embedding/embedder_cache.py", "Embedder.load"),
        ("workers/runtime.py", "TorchEmbedder.load"),
    ]
