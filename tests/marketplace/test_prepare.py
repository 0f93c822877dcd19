"""What `manage.py prepare` makes true, and that doing it again changes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from marketplace.preparation.database import one_at_a_time, prepare_database
from marketplace.preparation.demo import decide_demo
from marketplace.preparation.model import NONE, NOT_ALLOWED, UNTRAINED, ensure_model
from marketplace.preparation.static import collect_static, fingerprint
from marketplace.preparation.superuser import ensure_superuser
from recommender.models import EmbeddingModel
from tests.factories import make_listing

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.django_db
class TestSuperuser:
    def test_takes_the_password_that_was_given_and_keeps_no_copy(self, tmp_path, client):
        sentence = ensure_superuser("chosen", tmp_path / "password")
        assert "chosen" not in sentence
        assert not (tmp_path / "password").exists()
        assert client.login(username="admin", password="chosen")

    def test_is_given_a_generated_password_that_only_its_owner_reads(self, tmp_path, client):
        sentence = ensure_superuser("", tmp_path / "password")
        password = (tmp_path / "password").read_text().strip()
        assert password in sentence
        assert oct((tmp_path / "password").stat().st_mode & 0o777) == "0o600"
        assert client.login(username="admin", password=password)

    def test_is_created_once(self, tmp_path, client):
        ensure_superuser("first", tmp_path / "password")
        assert ensure_superuser("second", tmp_path / "password") is None
        assert client.login(username="admin", password="first")

    def test_an_existing_one_of_another_name_is_enough(self, tmp_path, django_user_model):
        django_user_model.objects.create_superuser("boss", password="p")
        assert ensure_superuser("", tmp_path / "password") is None
        assert not django_user_model.objects.filter(username="admin").exists()


def active_model(version):
    return EmbeddingModel.objects.create(
        version=version, arch="resnet50", dim=4, checkpoint=version, sha256="0", state=EmbeddingModel.State.ACTIVE
    )


@pytest.mark.django_db
class TestModel:
    def test_an_active_model_stays_and_speaks_for_itself(self):
        active_model("resnet50-7")
        assert ensure_model("untrained") is None

    def test_an_untrained_model_is_said_aloud(self):
        active_model("untrained")
        assert ensure_model("untrained") == UNTRAINED

    def test_an_untrained_model_that_was_not_asked_for_is_not_promised_to_work(self):
        active_model("untrained")
        assert ensure_model("") == NOT_ALLOWED

    def test_without_weights_there_is_no_model_and_a_sentence_says_what_to_do(self):
        assert ensure_model("") == NONE


@pytest.mark.django_db
class TestDemo:
    def test_is_wanted_by_a_site_that_began_empty(self, tmp_path):
        decide_demo(tmp_path / "demo")
        assert (tmp_path / "demo").read_text() == "wanted\n"

    def test_is_not_wanted_beside_somebodys_catalogue(self, tmp_path):
        make_listing()
        decide_demo(tmp_path / "demo")
        assert (tmp_path / "demo").read_text() == "unwanted\n"

    def test_is_decided_once(self, tmp_path):
        (tmp_path / "demo").write_text("done\n")
        decide_demo(tmp_path / "demo")
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
        assert collect_static(settings.STATIC_ROOT)
        assert list(settings.STATIC_ROOT.glob("page.*.css"))
        assert not collect_static(settings.STATIC_ROOT)
        before = fingerprint()
        (source / "page.css").write_text("a { color: green }")
        assert fingerprint() != before
        assert collect_static(settings.STATIC_ROOT)
        fresh_finders()


def fresh_finders():
    from django.contrib.staticfiles import finders

    finders.get_finder.cache_clear()


@pytest.mark.django_db(transaction=True)
class TestDatabase:
    def test_is_prepared_twice_without_change(self):
        prepare_database()
        prepare_database()
        assert "listings_listing" in connection.introspection.table_names()

    @pytest.mark.postgres_only
    def test_migrates_in_one_process_at_a_time(self):
        other = connection.copy()
        with one_at_a_time(), other.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [0x6D61726B6574])
            assert cursor.fetchone() == (False,)
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [0x6D61726B6574])
            assert cursor.fetchone() == (True,)
        other.close()


def test_models_and_migrations_agree(db):
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_a_new_sqlite_keeps_a_write_ahead_log(tmp_path):
    environ = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environ.update(VAR_DIR=str(tmp_path))
    command = [sys.executable, "manage.py", "prepare_database"]
    subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True)
    import sqlite3

    with sqlite3.connect(tmp_path / "db.sqlite3") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()
