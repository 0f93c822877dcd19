import shutil

import pytest


@pytest.fixture
def fresh_index(transactional_db, settings, tmp_path):
    """This process's index, as if the process had just started; nothing is refreshed behind the test's back."""
    from recommender.index import get_index
    from recommender.index.view import process

    settings.INDEX_ROOT = tmp_path / "index"
    settings.INDEX_REFRESH_MS = 3_600_000
    process.own_index.forget()
    yield get_index()
    process.own_index.forget()


@pytest.fixture
def model(fresh_index):
    """An active model whose vectors tests choose themselves."""
    from tests.recommender.index.catalogue import active_model

    return active_model()


@pytest.fixture
def untrained(fresh_index, settings):
    """An active model that really embeds, on untrained weights."""
    from ml.recipe import Recipe
    from recommender.models import EmbeddingModel
    from tests.built_models import untrained_model_dir

    directory = untrained_model_dir()
    settings.MODELS_ROOT = directory.parent
    settings.EMBEDDER_WEIGHTS = "untrained"
    settings.EMBEDDER_CACHE = directory.parent / "openvino"
    recipe = Recipe.read(directory)
    return EmbeddingModel.objects.create(
        version="untrained",
        arch=recipe.arch,
        dim=recipe.dim,
        recipe=recipe.as_dict(),
        checkpoint=directory.name,
        sha256=recipe.sha256,
        state=EmbeddingModel.State.ACTIVE,
    )


@pytest.fixture
def empty_storage(settings):
    """No photo files but those the test makes, and none of them after it."""
    roots = (settings.MEDIA_ROOT, settings.ORIGINALS_ROOT)

    def clear():
        for root in roots:
            shutil.rmtree(root, ignore_errors=True)

    clear()
    yield
    clear()


@pytest.fixture
def plain_static(settings):
    """Pages without the manifest of collected static files."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.fixture(autouse=True)
def quiet_breaker():
    """A broker that failed in the test before is asked again at once."""
    from recommender.embedding.doorbell import doorbell

    doorbell.end_broker_pause()
