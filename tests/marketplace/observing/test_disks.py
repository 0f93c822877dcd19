"""Health and metrics name the disk that is full, nearly full or read-only, and why embedding stands still."""

import errno
import os
import tempfile
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from marketplace.observing.disks import TEMPORARY, list_disks, name_root
from marketplace.observing.health import DOOR
from recommender.models import Embedding, Heartbeat
from tests.factories import api, make_listing, make_user
from tests.recommender.index.catalogue import active_model

MEGABYTE = 1024 * 1024
AT_THE_DOOR: dict[str, Any] = {DOOR: True}


@pytest.fixture
def disk(monkeypatch, settings):
    """One disk that holds everything, of 100 GB and half full unless its fields are changed."""
    fields = {"f_blocks": 100_000, "f_bavail": 50_000, "f_frsize": MEGABYTE, "f_files": 1000, "f_favail": 500}
    disk = SimpleNamespace(**fields, f_flag=0)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    settings.LOW_DISK_MB = 1024
    return disk


def problem() -> str:
    return Client().get("/health/ready", **AT_THE_DOOR).json()["problem"] or ""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"f_bavail": 0}, "is full (0 MB and 500 inodes are free)"),
        ({"f_favail": 0}, "is full (50,000 MB and 0 inodes are free)"),
        ({"f_bavail": 1000}, "is nearly full (1,000 MB"),
        ({"f_bavail": 1030}, ""),
        ({"f_blocks": 2000, "f_bavail": 150}, ""),
        ({"f_blocks": 2000, "f_bavail": 90}, "is nearly full (90 MB"),
        ({"f_favail": 40}, "is nearly full (50,000 MB and 40 inodes are free)"),
        ({"f_files": 0, "f_favail": 0}, ""),
        ({"f_flag": os.ST_RDONLY}, "can only be read"),
    ],
)
def test_health_names_the_disk_and_warns_before(disk, changes, said):
    vars(disk).update(changes)
    answer = problem()
    assert ("the disk of ORIGINALS_ROOT" in answer) is bool(said)
    assert said in answer


@pytest.mark.django_db(transaction=True)
def test_a_disk_that_fails_is_named_and_all_else_is_told(disk, monkeypatch, settings):
    settings.ORIGINALS_ROOT = settings.VAR_DIR / "on-another-host"

    def fail_there(works, path, **kwargs):
        if str(path).startswith(str(settings.ORIGINALS_ROOT)):
            raise OSError(errno.ESTALE, "Stale file handle")
        return works(path, **kwargs)

    monkeypatch.setattr(os, "stat", partial(fail_there, os.stat))
    monkeypatch.setattr(os, "statvfs", partial(fail_there, os.statvfs))
    assert "the disk of ORIGINALS_ROOT cannot be read (Stale file handle)" in problem()
    said = Client().get("/metrics", **AT_THE_DOOR).content.decode()
    assert 'disk_free_bytes{root="ORIGINALS_ROOT"}' not in said
    assert 'disk_free_bytes{root="VAR_DIR"}' in said


def test_where_no_folder_takes_a_file_the_temporary_one_is_still_looked_at(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", Mock(side_effect=FileNotFoundError))
    assert any(TEMPORARY in disk.roots for disk in list_disks())


def test_a_file_lies_on_the_disk_of_the_nearest_root(settings, tmp_path):
    settings.VAR_DIR, settings.ORIGINALS_ROOT = tmp_path, tmp_path / "photos"
    settings.MEDIA_ROOT = tmp_path / "photos" / "media"
    files = [tmp_path / name for name in ("a", "photos/a", "photos/media/a")]
    assert [name_root(str(file)) for file in files] == ["VAR_DIR", "ORIGINALS_ROOT", "MEDIA_ROOT"]
    assert name_root("/elsewhere") == "a disk"


@pytest.mark.django_db(transaction=True)
def test_metrics_have_the_room_of_each_root(disk):
    said = Client().get("/metrics", **AT_THE_DOOR).content.decode()
    assert 'marketplace_disk_free_bytes{root="MEDIA_ROOT"} 5.24288e+010' in said.replace("e+10", "e+010")
    assert 'marketplace_disk_free_inodes{root="INDEX_ROOT"} 500.0' in said


@pytest.mark.django_db(transaction=True)
def test_health_says_why_embedding_stands_still_while_something_waits():
    note = "MEDIA_ROOT is full (No space left on device), and photos wait."
    Heartbeat.objects.create(name="e", kind="embedding", seen_at=timezone.now(), detail={"note": note})
    assert "stands still" not in problem()
    active_model()
    make_listing().images.create(sha256="0" * 64)
    assert Embedding.objects.filter(state="pending").exists()
    assert f"embedding stands still: {note}" in problem()


@pytest.mark.django_db(transaction=True)
def test_a_full_disk_under_sqlite_is_named_and_not_taken_for_a_database_that_is_away():
    if connection.vendor != "sqlite":
        pytest.skip("a limit of pages is SQLite's")
    seller = make_user()
    with connection.cursor() as cursor:
        # Pages that other tests have freed are filled first, or there would be room for many listings.
        (free,), (size,) = (cursor.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_size"))
        cursor.execute("CREATE TABLE filler (bytes BLOB)")
        cursor.execute("INSERT INTO filler VALUES (zeroblob(%s))", [free * size])
        (pages,) = cursor.execute("PRAGMA page_count").fetchone()
        cursor.execute(f"PRAGMA max_page_count = {pages}")
    try:
        client = api(seller)
        answers = [client.post("/api/v1/listings/", {"title": "x", "description": "word " * 1900}) for _ in range(60)]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA max_page_count = 1073741823")
            cursor.execute("DROP TABLE filler")
    refused = [answer for answer in answers if answer.status_code != 201]
    assert refused
    assert {answer.status_code for answer in refused} == {507}
    assert refused[0].json()["code"] == "storage_full"
    assert "The disk of the database is full" in refused[0].json()["detail"]
