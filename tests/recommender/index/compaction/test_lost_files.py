"""Files that are deleted, hidden or cannot be opened: readers answer, and the compactor rebuilds or waits."""

import errno
import os
import shutil

import pytest

from listings.models import Listing
from recommender.index.compaction.compactor import compact, own_compactor
from recommender.index.compaction.verify import verify
from recommender.index.rows.vector_file import VectorFile
from recommender.index.storage.snapshot import segment_directory, snapshot_directory
from recommender.index.view import plan_refresh
from recommender.models import IndexHead, IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.served import (
    listed,
)


def test_the_index_directory_can_be_deleted(model, index, settings):
    catalogue.add_many(model, 20)
    compact(force=True)
    before = listed(index)
    shutil.rmtree(settings.INDEX_ROOT)
    assert listed(index) == before  # mapped files outlive their names
    late = catalogue.add_listing(model)
    assert listed(index) == [*before, late.pk]
    assert compact().actions == ("rebuilt",)
    assert listed(index) == [*before, late.pk]
    assert verify() == []


def test_a_process_that_cannot_open_the_new_snapshot_keeps_its_state_fresh_and_says_so(model, index, monkeypatch):
    catalogue.add_many(model, 20)
    compact(force=True)
    before = listed(index)
    catalogue.add_listing(model)
    compact(force=True)
    directory = segment_directory(IndexSnapshot.objects.last().segments[-1]["name"])
    hidden = directory.rename(directory.with_name("hidden"))
    assert len(listed(index)) == len(before) + 1
    assert str(directory) in index.health().problem
    assert IndexSnapshot.objects.last().state == "published"
    hidden.rename(directory)
    monkeypatch.setattr(plan_refresh, "REOPEN_SECONDS", 0)
    listed(index)
    assert index.health().problem is None
    assert index.get_state().snapshot_id == IndexHead.load().snapshot_id


def test_a_fresh_process_falls_back_to_the_previous_snapshot(model, index):
    catalogue.add_many(model, 20)
    compact(force=True)
    catalogue.add_many(model, 5, start=100)
    compact(force=True)
    shutil.rmtree(snapshot_directory(IndexSnapshot.objects.last().directory))
    assert listed(index) == sorted(Listing.objects.values_list("pk", flat=True))
    assert "serving snapshot" in index.health().problem


@pytest.mark.parametrize("has_begun", [False, True])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.EACCES])
def test_files_that_this_process_cannot_open_now_are_neither_damaged_nor_deleted(
    model, index, index_root, monkeypatch, caplog, number, has_begun
):
    catalogue.add_many(model, 20)
    compact(force=True)
    before = sorted(path for path in index_root.rglob("*"))
    if not has_begun:
        own_compactor.forget()

    def refuse(*args, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(VectorFile, "open_map", refuse)
    for _ in range(2):
        assert compact(force=True).actions == ("failed",)
    assert os.strerror(number) in caplog.text
    assert IndexSnapshot.objects.get().state == "published"
    assert sorted(path for path in index_root.rglob("*")) == before
    monkeypatch.undo()
    assert compact(force=True).actions == ("nothing",)
    assert len(listed(index)) == 20
