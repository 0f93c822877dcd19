from __future__ import annotations

import shutil

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from recommender import registry
from recommender.embedding.embedder_cache import COMMAND_POLICY, EmbedderCache, embedders
from recommender.errors import ModelNotReady, RegistryError
from recommender.models import EmbeddingModel
from recommender.registry import precision_photos, registration
from tests.built_models import untrained_model_dir
from tests.factories import make_listing, make_ready_image
from tests.recommender.queue_rows import make_model

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def models_root(settings, tmp_path):
    """MODELS_ROOT with the untrained export in it, and leave to use it."""
    settings.MODELS_ROOT = tmp_path
    settings.EMBEDDER_CACHE = untrained_model_dir().parent / "openvino"
    settings.EMBEDDER_WEIGHTS = "untrained"
    (tmp_path / "untrained").symlink_to(untrained_model_dir())
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_loaded():
    embedders.evict_all()
    yield
    embedders.evict_all()


def test_a_registered_model_carries_its_recipe(models_root):
    model = registry.register("untrained", "untrained")
    assert (model.arch, model.dim, model.state) == ("resnet50", 1000, "candidate")
    assert model.recipe["weights"] == "untrained"
    assert model.directory == models_root / "untrained"
    assert registry.register("untrained", "untrained") == model


@pytest.mark.parametrize("enough", [True, False])
def test_a_precision_is_chosen_on_the_sites_own_photos_where_there_are_enough(models_root, monkeypatch, enough):
    given = []

    def export(directory, version, source, photos):
        given.append(photos and sorted(path.suffix for path in photos.iterdir()))
        directory.symlink_to(untrained_model_dir())

    (models_root / "untrained").unlink()
    monkeypatch.setattr(precision_photos, "ENOUGH", 2 if enough else 3)
    monkeypatch.setattr(registration, "export_model", export)
    for seed in (1, 2):
        make_ready_image(make_listing(), seed)
    registry.register("untrained", "untrained")
    assert given == [[".jpg", ".jpg"] if enough else None]


def test_photos_for_a_precision_that_was_chosen_before_are_refused(models_root, tmp_path):
    with pytest.raises(RegistryError, match=r"its precision chosen then; .* another version"):
        registry.register("untrained", "untrained", photos=tmp_path)


def test_untrained_weights_need_leave_to_be_registered(settings, models_root):
    settings.EMBEDDER_WEIGHTS = ""
    with pytest.raises(RegistryError, match="EMBEDDER_WEIGHTS=untrained"):
        registry.register("untrained", "untrained")


def test_an_untrained_model_that_was_asked_for_embeds_until_another_one_takes_over(settings, models_root):
    model = registry.register("untrained", "untrained")
    settings.EMBEDDER_WEIGHTS = "starter"
    assert embedders.load_embedder(model).dim == EmbedderCache(COMMAND_POLICY).load_embedder(model).dim == model.dim


def test_a_directory_of_another_version_is_refused(models_root):
    (models_root / "mine").symlink_to(untrained_model_dir())
    with pytest.raises(RegistryError, match="of version untrained"):
        registry.register("mine", "untrained")


def test_a_version_that_exists_with_other_weights_is_refused(models_root):
    make_model("candidate", version="untrained")
    with pytest.raises(RegistryError, match="other weights"):
        registry.register("untrained", "untrained")


def test_a_name_that_a_folder_of_reports_has_is_refused(models_root):
    with pytest.raises(RegistryError, match="'first-reports' cannot name a model, because reports"):
        registry.register("first-reports", "untrained")


def test_weights_that_cannot_be_exported_are_told_in_one_sentence(models_root):
    with pytest.raises(RegistryError, match="cannot be exported"):
        registry.register("odd", "nonsense")
    assert not EmbeddingModel.objects.exists()


def test_an_embedder_is_loaded_once_a_process_and_embeds(models_root):
    model = registry.register("untrained", "untrained")
    embedder = embedders.load_embedder(model)
    assert embedders.load_embedder(model) is embedder
    vectors = embedder.embed(np.zeros((1, embedder.size, embedder.size, 3), np.uint8))
    assert vectors.shape == (1, model.dim)


def test_missing_files_are_not_ready_in_a_web_process(models_root):
    model = registry.register("untrained", "untrained")
    (models_root / "untrained").unlink()
    with pytest.raises(ModelNotReady, match="holds no model"):
        embedders.load_embedder(model)


def test_files_of_other_weights_are_not_ready(models_root):
    model = registry.register("untrained", "untrained")
    model.sha256 = "1" * 64
    with pytest.raises(ModelNotReady, match="other weights"):
        embedders.load_embedder(model)


def test_damaged_files_are_not_ready(models_root):
    model = registry.register("untrained", "untrained")
    (models_root / "untrained").unlink()
    shutil.copytree(untrained_model_dir(), models_root / "untrained")
    with (models_root / "untrained" / "embedder.bin").open("r+b") as file:
        file.write(b"damage")
    with pytest.raises(ModelNotReady, match="damaged"):
        embedders.load_embedder(model)


def test_a_worker_makes_missing_untrained_weights_again(models_root):
    model = registry.register("untrained", "untrained")
    (models_root / "untrained").unlink()
    assert EmbedderCache(COMMAND_POLICY).load_embedder(model).dim == model.dim
    assert (models_root / "untrained" / "recipe.json").exists()


def test_no_active_model_is_none():
    assert EmbeddingModel.objects.find_active() is None


class TestRegisterCommand:
    def test_registers_and_activates(self, models_root, capsys):
        call_command("models", "register", "--weights", "untrained", "--activate")
        assert EmbeddingModel.objects.find_active().version == "untrained"
        call_command("models", "list")
        assert "untrained" in capsys.readouterr().out

    def test_refuses_untrained_weights_without_leave(self, settings, models_root):
        settings.EMBEDDER_WEIGHTS = ""
        with pytest.raises(CommandError, match="EMBEDDER_WEIGHTS=untrained"):
            call_command("models", "register", "--weights", "untrained")

    def test_names_the_models_there_are(self):
        make_model(version="first")
        with pytest.raises(CommandError, match="there are: first"):
            call_command("models", "activate", "second")
