"""Verify is clean on a healthy index, names each kind of fault, and repair mends it."""

import errno
import re
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from listings.models import Category, Listing, ListingImage
from recommender.index.compaction.compactor import compact
from recommender.index.compaction.verify import repair_differences, verify
from recommender.index.rows.vector_file import VectorFile
from recommender.index.storage import segment
from recommender.index.storage.segment import VECTORS
from recommender.index.storage.snapshot import segment_directory, snapshot_directory
from recommender.models import Embedding, IndexChange, IndexSnapshot
from tests.recommender.index import catalogue


@pytest.fixture
def healthy(model, index):
    catalogue.add_many(model, 30, photos=2)
    compact(force=True)
    catalogue.add_many(model, 5, start=50)
    Listing.objects.filter(pk=Listing.objects.first().pk).update(price=77)
    return model


def forget_changes():
    """Plant a fault the feed does not know: as if its rows had been lost."""
    IndexChange.objects.all().delete()


def kinds():
    return sorted({difference.kind for difference in verify()})


def test_a_healthy_index_has_no_differences(healthy):
    assert kinds() == []
    compact(force=True)
    assert kinds() == []


COLUMN_EDITS: dict[str, dict[str, Any]] = {
    "price": {"price": 123},
    "latitude": {"latitude": 10.0, "longitude": 10.0},
    "longitude": {"latitude": 10.0, "longitude": 10.0},
    "created": {"created_at": "2001-01-01T00:00:00Z"},
    "status": {"status": "sold"},
}


@pytest.mark.parametrize("column", COLUMN_EDITS)
def test_a_column_that_differs_is_named(healthy, column):
    compact(force=True)
    Listing.objects.filter(pk=Listing.objects.last().pk).update(**COLUMN_EDITS[column])
    forget_changes()
    assert column in kinds()
    repair_differences(verify())
    assert kinds() == []


def test_a_category_or_seller_that_differs_is_named(healthy, django_user_model):
    compact(force=True)
    other = django_user_model.objects.create(username="other")
    category = Category.objects.create(name="Lamps")
    Listing.objects.filter(pk=Listing.objects.last().pk).update(category=category, seller=other)
    forget_changes()
    assert kinds() == ["category", "seller"]
    repair_differences(verify())
    assert kinds() == []


def test_a_vector_that_differs_is_named(healthy):
    compact(force=True)
    Embedding.objects.filter(pk=Embedding.objects.last().pk).update(vector=catalogue.unit(424242).tobytes())
    assert kinds() == ["vector"]
    repair_differences(verify())
    assert kinds() == []


def test_missing_and_extra_rows_are_named(healthy, model):
    compact(force=True)
    catalogue.add_listing(model)
    ListingImage.objects.filter(listing=Listing.objects.order_by("pk")[3]).delete()
    forget_changes()
    assert kinds() == ["extra", "missing"]
    repair_differences([*verify(), *verify()])
    assert kinds() == []


def test_a_photo_without_a_queue_row_is_named(healthy):
    Embedding.objects.filter(pk=Embedding.objects.first().pk).delete()
    assert "unqueued" in kinds()


UNUSABLE = [
    np.zeros(16, np.float16),
    np.full(16, np.nan, np.float16),
    np.ones(3, np.float16),
    np.ones(31, np.int8),  # no whole number of values
]


@pytest.mark.parametrize("vector", UNUSABLE)
def test_an_unusable_vector_is_named_and_sent_back_to_the_queue(healthy, vector):
    row = Embedding.objects.last()
    Embedding.objects.filter(pk=row.pk).update(vector=vector.tobytes())
    assert "unusable" in kinds()
    repair_differences(verify())
    row.refresh_from_db()
    assert (row.state, row.vector) == ("pending", None)
    assert kinds() == []


@pytest.mark.parametrize("place", [(VectorFile, "open_map"), (segment, "file_sha256"), (segment, "find_damaged_files")])
def test_files_that_this_user_may_not_read_are_told_apart_and_nothing_is_rebuilt(
    healthy, index_root, monkeypatch, place
):
    compact(force=True)
    before = sorted(index_root.rglob("*"))

    def refuse(*args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    if place == (segment, "find_damaged_files"):  # only once it was opened
        real = segment.find_damaged_files

        def check(*args):
            with monkeypatch.context() as faults:
                faults.setattr(segment, "file_sha256", refuse)
                return real(*args)

        monkeypatch.setattr(segment, "find_damaged_files", check)
    else:
        monkeypatch.setattr(*place, refuse)
    assert kinds() == ["unreadable"]
    assert "nothing is repaired" in repair_differences(verify())
    assert sorted(index_root.rglob("*")) == before


def test_a_vector_that_a_low_precision_runtime_made_and_the_queue_took_is_left_alone(healthy, model):
    long = catalogue.unit(5).astype(np.float32) * 1.05
    catalogue.store_vector(Embedding.objects.last().image, model, long)
    assert kinds() == []


@pytest.mark.parametrize("name", [VECTORS, "price.npy", "segment.json", "bitmap", "manifest.json"])
def test_an_altered_file_is_named_and_rebuilt(healthy, name):
    compact(force=True)
    newest = IndexSnapshot.objects.last()
    directory = segment_directory(newest.segments[0]["name"])
    path = directory / name
    if name == "bitmap":
        path = snapshot_directory(newest.directory) / newest.segments[0]["bitmap"]
    if name == "manifest.json":
        path = snapshot_directory(newest.directory) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    found = verify()
    assert {difference.kind for difference in found} & {"file", "snapshot"}
    assert re.search(r"altered|cannot be read|not what", " ".join(map(str, found)))
    repair_differences(found)
    assert kinds() == []


def test_a_manifest_that_is_no_manifest_is_named(healthy):
    compact(force=True)
    (snapshot_directory(IndexSnapshot.objects.last().directory) / "manifest.json").write_text("{}")
    assert kinds() == ["snapshot"]


def test_a_snapshot_of_another_history_is_named(healthy):
    compact(force=True)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE recommender_indexhead SET epoch = %s", ["0" * 32])
    assert kinds() == ["snapshot"]
    repair_differences(verify())
    assert kinds() == []


def test_the_command_prints_zero_differences_or_fails(healthy, capsys):
    call_command("index", "verify")
    assert capsys.readouterr().out.strip() == "0 differences"
    Embedding.objects.filter(pk=Embedding.objects.first().pk).update(vector=catalogue.unit(5).tobytes())
    compact(force=True)
    Embedding.objects.filter(pk=Embedding.objects.first().pk).update(vector=catalogue.unit(6).tobytes())
    with pytest.raises(CommandError, match=r"^1 difference$"):
        call_command("index", "verify")
    call_command("index", "verify", "--repair")
    assert capsys.readouterr().out.strip().endswith("0 differences")
