from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from recommender import registry
from recommender.embedding import sweep
from recommender.errors import RegistryError
from recommender.models import Embedding, EmbeddingModel
from recommender.registry.backfill_wait import is_backfill_stuck, wait_until_model_ready
from tests.recommender.queue_rows import bulk_photos, make_model
from tests.recommender.registered import EVALUATION, FIGURE, embedded_by, state_of

pytestmark = pytest.mark.django_db(transaction=True)


def models(*arguments) -> None:
    call_command("models", *map(str, arguments))


class TestListCommand:
    def test_says_what_to_do_where_there_is_no_model(self, capsys):
        models("list")
        assert "models register --weights starter --activate" in capsys.readouterr().out

    def test_shows_a_line_a_model_under_its_titles(self, capsys):
        active = make_model(version="first", metrics={"evaluations": [EVALUATION]}, recipe={"weights": "starter"})
        make_model("backfilling", version="second")
        make_model("candidate", version="third")
        bulk_photos(3)
        embedded_by(active)
        models("list")
        titles, first, second, third = capsys.readouterr().out.splitlines()
        assert titles.split()[:3] == ["version", "state", "network"]
        assert "3 of 3" in first
        assert "0.412 (0.400 to 0.430) on clothing/unseen" in first
        assert first.split()[4] == "starter"
        assert "0 of 3" in second
        assert first.index("3 of 3") == second.index("0 of 3") == titles.index("photos embedded")
        assert " of " not in third

    def test_speaks_json_to_programs(self, capsys):
        active = make_model(version="first", metrics={"evaluations": [EVALUATION]})
        make_model("candidate", version="second")
        bulk_photos(3)
        embedded_by(active)
        models("list", "--json")
        first, second = json.loads(capsys.readouterr().out)
        assert (first["version"], first["state"], first["dim"]) == ("first", "active", active.dim)
        assert first["progress"]["done"] == first["progress"]["photos"] == first["progress"]["snapshot_rows"] == 3
        assert first["metrics"]["evaluations"][0]["map_at_r"] == FIGURE
        assert second["progress"] is None


class TestRegister:
    def test_names_the_sources_when_there_is_no_such_file(self):
        with pytest.raises(CommandError, match=r"no weights 'missing\.safetensors': neither one of starter, imagenet"):
            models("register", "--weights", "missing.safetensors")

    def test_passes_on_why_a_file_is_no_weights_file(self, tmp_path, settings):
        settings.MODELS_ROOT = tmp_path / "models"
        file = tmp_path / "pickled.safetensors"
        file.write_bytes(b"not weights")
        with pytest.raises(CommandError, match=r"pickled\.safetensors is no complete safetensors file"):
            models("register", "--weights", file)
        assert not EmbeddingModel.objects.exists()

    def test_takes_a_weights_file_once_and_names_it_by_its_folder(self, tmp_path, settings, capsys):
        from ml.network.resnet import Architecture, create_network
        from ml.network.weights import write_weights

        settings.MODELS_ROOT = tmp_path / "models"
        file = tmp_path / "shoes" / "weights.safetensors"
        file.parent.mkdir()
        architecture = Architecture("resnet18", 8, size=32)
        write_weights(file, create_network(architecture), architecture)
        models("register", "--weights", file, "--activate")
        model = EmbeddingModel.objects.find_active()
        assert (model.version, model.arch, model.dim) == ("shoes", "resnet18", 8)
        assert (model.recipe["weights"], model.recipe["size"]) == ("weights.safetensors", 32)
        assert "shoes is registered: resnet18, 8 dimensions." in capsys.readouterr().out
        with pytest.raises(CommandError, match="There is a model shoes already"):
            models("register", "--weights", file)

    def test_a_size_that_makes_no_sense_leaves_the_name_free(self, tmp_path, settings):
        settings.MODELS_ROOT = tmp_path / "models"
        with pytest.raises(CommandError, match=r"small cannot be exported\. .* has size 0; it must be a number from 8"):
            models("register", "--weights", "starter", "--version", "small", "--size", 0)
        assert not (settings.MODELS_ROOT / "small").exists()

    @pytest.mark.parametrize("name", ["../elsewhere", "two words", ".hidden", "x" * 65])
    def test_refuses_a_name_that_is_no_directorys(self, name, tmp_path, settings):
        settings.MODELS_ROOT = tmp_path / "models"
        with pytest.raises(CommandError, match="cannot name a model; choose 1 to 64 letters"):
            models("register", "--weights", "starter", "--version", name)
        assert list(tmp_path.iterdir()) == []


class TestBackfill:
    def test_queues_every_photo_at_once(self, capsys):
        make_model()
        model = make_model("candidate", version="new")
        bulk_photos(3)
        models("backfill", "new")
        assert state_of(model) == "backfilling"
        assert Embedding.objects.filter(model=model, lane=Embedding.Lane.BACKFILL).count() == 3
        assert "new is being backfilled" in capsys.readouterr().out

    def test_waits_until_the_model_can_be_activated(self, capsys):
        make_model()
        model = make_model("backfilling", version="new")
        bulk_photos(3)
        embedded_by(model)
        models("backfill", "new", "--wait")
        said = capsys.readouterr()
        assert "new is ready: `manage.py models activate new`" in said.out
        assert "No embedding worker is running" in said.err
        assert "No indexing worker is running" in said.err

    def test_stops_waiting_when_told_to_from_the_keyboard(self, monkeypatch):
        make_model()
        make_model("backfilling", version="new")
        bulk_photos(20)

        def press_keys(seconds: float) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(
            "recommender.registry.backfill_wait.time", SimpleNamespace(sleep=press_keys)
        )  # no other thread's
        with pytest.raises(CommandError, match="Stopped") as stopped:
            models("backfill", "new", "--wait")
        assert stopped.value.returncode == 130

    def test_stops_waiting_for_photos_that_will_never_be_embedded(self):
        make_model()
        model = make_model("backfilling", version="new")
        bulk_photos(20)
        sweep.insert_missing_rows(model)
        Embedding.objects.filter(model=model).update(state="failed", attempts=99)
        with pytest.raises(CommandError, match="20 of 20 photos could not be embedded by new"):
            models("backfill", "new", "--wait")

    @pytest.mark.parametrize("state", ["retired", "active"])
    def test_stops_waiting_when_somebody_else_decides_over_the_model(self, state):
        model = make_model("backfilling", version="new")
        EmbeddingModel.objects.filter(pk=model.pk).update(state=state)
        bulk_photos(3)
        with pytest.raises(RegistryError, match=f"new is not being backfilled any more: it is {state} now"):
            wait_until_model_ready(model, print)

    def test_a_few_lost_photos_do_not_count_as_stuck(self):
        make_model()
        model = make_model("backfilling")
        bulk_photos(20)
        embedded_by(model)
        one = Embedding.objects.filter(model=model).first()
        Embedding.objects.filter(pk=one.pk).update(state="failed", attempts=99, vector=None)
        assert not is_backfill_stuck(registry.measure_progress(model))

    def test_refuses_what_is_no_candidate(self):
        make_model(version="first")
        with pytest.raises(CommandError, match="first is active"):
            models("backfill", "first")
        with pytest.raises(CommandError, match="first is active"):
            models("backfill", "first", "--wait")


class TestSwitch:
    def test_activates_rolls_back_and_retires(self, capsys):
        old, new = make_model(version="old"), make_model("backfilling", version="new")
        EmbeddingModel.objects.filter(pk=old.pk).update(activated_at="2026-01-01T00:00:00Z")
        bulk_photos(3)
        embedded_by(old)
        embedded_by(new)
        models("activate", "new")
        assert (state_of(old), state_of(new)) == ("standby", "active")
        models("rollback")
        assert (state_of(old), state_of(new)) == ("active", "standby")
        models("retire", "new")
        assert state_of(new) == "retired"
        said = capsys.readouterr().out.splitlines()
        assert said[0] == "new is active."
        assert said[1] == "old is active again."
        assert said[2].startswith("new is retired")

    @pytest.mark.parametrize("action", ["activate", "retire", "backfill"])
    def test_names_the_models_there_are(self, action):
        make_model(version="first")
        with pytest.raises(CommandError, match=r"There is no model second; there are: first\."):
            models(action, "second")

    def test_refuses_to_activate_what_has_not_embedded_every_photo(self):
        make_model()
        make_model("backfilling", version="new")
        bulk_photos(3)
        with pytest.raises(CommandError, match="3 of 3 photos are not embedded by new yet"):
            models("activate", "new")

    def test_refuses_to_retire_the_active_model(self):
        make_model(version="first")
        with pytest.raises(CommandError, match="activate another one before it is retired"):
            models("retire", "first")

    def test_refuses_to_roll_back_to_nothing(self):
        make_model()
        with pytest.raises(CommandError, match="No model is on standby"):
            models("rollback")
