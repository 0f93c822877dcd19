"""What `manage.py prepare` makes true, and that doing it again changes nothing."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from marketplace.preparation.database import hold_preparation_lock, prepare_database
from marketplace.preparation.demo import ensure_demo_marker
from marketplace.preparation.model import IS_UNTRAINED, ensure_active_model
from marketplace.preparation.static import collect_static_files_if_changed, hash_sources
from marketplace.preparation.superuser import ensure_superuser
from ml.inference.calibration.files import write_calibration
from recommender.models import Calibration, EmbeddingModel
from tests.built_models import share, starter_model_dir, untrained_model_dir
from tests.factories import make_listing
from tests.recommender.index.small_disk import small_disk
from tests.recommender.queue_rows import bulk_photos, make_model
from tests.recommender.registered import embedded_by, make_certain_curve

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.django_db
class TestSuperuser:
    def test_takes_the_password_that_was_given_and_keeps_no_copy(self, tmp_path):
        sentence = ensure_superuser("chosen", tmp_path / "password")
        assert "chosen" not in sentence
        assert not (tmp_path / "password").exists()
        assert User.objects.get(username="admin").check_password("chosen")

    def test_is_given_a_generated_password_that_only_its_owner_reads(self, tmp_path):
        sentence = ensure_superuser("", tmp_path / "password")
        password = (tmp_path / "password").read_text().strip()
        assert password in sentence
        assert oct((tmp_path / "password").stat().st_mode & 0o777) == "0o600"
        assert User.objects.get(username="admin").check_password(password)

    def test_is_created_once(self, tmp_path):
        ensure_superuser("first", tmp_path / "password")
        assert ensure_superuser("second", tmp_path / "password") is None
        assert User.objects.get(username="admin").check_password("first")

    def test_an_existing_one_of_another_name_is_enough(self, tmp_path, django_user_model):
        django_user_model.objects.create_superuser("boss", password="p")
        assert ensure_superuser("", tmp_path / "password") is None
        assert not django_user_model.objects.filter(username="admin").exists()


@pytest.mark.django_db(transaction=True)
class TestModel:
    @pytest.fixture
    def exported(self, settings, tmp_path):
        """MODELS_ROOT of a host where the starter weights are exported already."""
        settings.MODELS_ROOT = tmp_path / "models"
        directory = settings.MODELS_ROOT / "starter"
        shutil.copytree(untrained_model_dir(), directory, copy_function=share)
        recipe = json.loads((directory / "recipe.json").read_text())
        (directory / "recipe.json").unlink()
        (directory / "recipe.json").write_text(json.dumps(recipe | {"version": "starter", "weights": "starter"}))
        write_calibration(directory / "weights.safetensors", make_certain_curve(recipe["dim"]))

    @pytest.fixture
    def untrained(self):
        return make_model(version="untrained", recipe={"weights": "untrained"})

    def states(self) -> dict[str, str]:
        return dict(EmbeddingModel.objects.values_list("version", "state"))

    def test_is_the_shipped_one_on_a_new_site(self, exported):
        assert ensure_active_model("starter") is None
        assert self.states() == {"starter": "active"}
        assert ensure_active_model("starter") is None

    def test_that_answers_already_stays(self):
        make_model(version="resnet50-7")
        assert ensure_active_model("starter") is None
        assert self.states() == {"resnet50-7": "active"}

    def test_that_answers_already_and_came_before_curves_gets_one_at_the_first_start(self, exported):
        old = make_model(version="starter", calibrated=False)
        assert ensure_active_model("starter") is None
        assert Calibration.objects.get(model=old).pairs == 1000

    def test_that_cannot_be_calibrated_answers_all_the_same_and_says_so(self):
        make_model(version="lost", calibrated=False)
        sentence = ensure_active_model("starter")
        assert sentence.startswith("lost answers without probabilities: ")
        assert sentence.endswith("Then run `manage.py models calibrate lost`.")

    def test_that_is_untrained_by_choice_is_said_aloud(self, untrained):
        assert ensure_active_model("untrained") == IS_UNTRAINED
        assert self.states() == {"untrained": "active"}

    def test_that_is_untrained_gives_way_at_once_where_nothing_is_embedded(self, untrained, exported):
        assert ensure_active_model("starter") is None
        assert self.states() == {"untrained": "standby", "starter": "active"}

    def test_that_is_untrained_stays_where_photos_wait_for_their_first_vector(self, untrained, exported):
        bulk_photos(3)
        assert "starter embeds the photos (0 of 3" in ensure_active_model("starter")
        assert self.states() == {"untrained": "active", "starter": "backfilling"}

    def test_that_is_untrained_answers_while_the_shipped_one_embeds(self, untrained, exported):
        bulk_photos(3)
        embedded_by(untrained)
        for _ in range(2):  # each start says it again
            sentence = ensure_active_model("starter")
            assert sentence.startswith("untrained is UNTRAINED and answers while starter embeds the photos (0 of 3")
            assert "manage.py models activate starter" in sentence
            assert self.states() == {"untrained": "active", "starter": "backfilling"}

    def test_that_is_ready_waits_for_somebody_to_activate_it(self, untrained, exported):
        bulk_photos(3)
        embedded_by(untrained)
        ensure_active_model("starter")
        embedded_by(EmbeddingModel.objects.get(version="starter"))
        sentence = ensure_active_model("starter")
        assert "`manage.py models activate starter` answers with it instead of untrained" in sentence
        assert self.states() == {"untrained": "active", "starter": "backfilling"}

    def test_that_somebody_retired_is_left_alone(self, untrained, exported):
        ensure_active_model("starter")
        EmbeddingModel.objects.filter(version="starter").update(state="retired")
        EmbeddingModel.objects.filter(version="untrained").update(state="active")
        assert "register and activate another one" in ensure_active_model("starter")
        assert self.states() == {"untrained": "active", "starter": "retired"}

    def test_that_cannot_be_had_does_not_keep_a_running_site_from_starting(self, untrained, settings, tmp_path):
        settings.MODELS_ROOT = tmp_path
        (tmp_path / "starter").mkdir()
        assert "starter holds no model" in ensure_active_model("starter")
        assert self.states() == {"untrained": "active"}

    def test_that_cannot_be_had_ends_the_first_start_with_one_sentence(self, settings, tmp_path):
        settings.MODELS_ROOT = tmp_path
        (tmp_path / "starter").mkdir()
        with pytest.raises(CommandError, match="holds no model"):
            ensure_active_model("starter")


def test_the_shipped_weights_are_the_first_model_unless_others_are_chosen(settings):
    assert settings.EMBEDDER_WEIGHTS == "starter"


@pytest.mark.django_db
class TestDemo:
    def test_is_wanted_by_a_site_that_began_empty(self, tmp_path):
        ensure_demo_marker(tmp_path / "demo")
        assert (tmp_path / "demo").read_text() == "wanted\n"

    def test_is_not_wanted_beside_somebodys_catalogue(self, tmp_path):
        make_listing()
        ensure_demo_marker(tmp_path / "demo")
        assert (tmp_path / "demo").read_text() == "unwanted\n"

    def test_is_decided_once(self, tmp_path):
        (tmp_path / "demo").write_text("done\n")
        ensure_demo_marker(tmp_path / "demo")
        assert (tmp_path / "demo").read_text() == "done\n"


class TestStatic:
    def test_is_collected_once_until_a_source_changes(self, tmp_path, settings):
        source = tmp_path / "source"
        source.mkdir()
        (source / "page.css").write_text("a { color: red }")
        settings.STATICFILES_DIRS = [source]
        settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
        settings.STATIC_ROOT = tmp_path / "static"
        hashed = {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
        settings.STORAGES = {**settings.STORAGES, "staticfiles": hashed}
        fresh_finders()
        assert collect_static_files_if_changed(settings.STATIC_ROOT)
        assert list(settings.STATIC_ROOT.glob("page.*.css"))
        assert not collect_static_files_if_changed(settings.STATIC_ROOT)
        before = hash_sources()
        (source / "page.css").write_text("a { color: green }")
        assert hash_sources() != before
        assert collect_static_files_if_changed(settings.STATIC_ROOT)
        fresh_finders()


def fresh_finders():
    from django.contrib.staticfiles import finders

    finders.get_finder.cache_clear()  # type: ignore[attr-defined]


@pytest.mark.django_db(transaction=True)
class TestDatabase:
    def test_is_prepared_twice_without_change(self):
        prepare_database()
        prepare_database()
        assert "listings_listing" in connection.introspection.table_names()

    def test_a_full_disk_is_named(self, tmp_path, settings, monkeypatch):
        monkeypatch.delenv("ADMIN_PASSWORD", raising=False)
        with small_disk(tmp_path / "disk", 1_024) as disk:
            settings.VAR_DIR = disk.root
            disk.fill()
            with pytest.raises(CommandError, match=r"The site was not made ready: the disk of .*VAR_DIR is full"):
                call_command("prepare")

    @pytest.mark.postgres_only
    def test_migrates_in_one_process_at_a_time(self):
        other = connection.copy()
        with hold_preparation_lock(), other.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [0x6D61726B6574])
            assert cursor.fetchone() == (False,)
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [0x6D61726B6574])
            assert cursor.fetchone() == (True,)
        other.close()


def test_models_and_migrations_agree(db):
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_a_new_site_may_be_prepared_twice_at_once(tmp_path):
    shutil.copytree(starter_model_dir(), tmp_path / "models" / "starter", copy_function=share)
    environ = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environ.update(VAR_DIR=str(tmp_path))
    command = [sys.executable, "manage.py", "prepare"]
    both = [
        subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = sorted(process.communicate()[0] for process in both)
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0] == "", "the second finds everything done"
    assert "created superuser admin" in said[1]
    assert "starter is active." in said[1]
    with sqlite3.connect(tmp_path / "db.sqlite3") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()
