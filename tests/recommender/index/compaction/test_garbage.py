"""What is deleted from the disk and from the table of snapshots, and what must stay."""

import os
import time

import pytest
from django.db import connection

from recommender.index.compaction import garbage as collecting
from recommender.index.compaction.compactor import compact
from recommender.index.compaction.garbage import collect_garbage
from recommender.index.storage.atomic_directory import write_directory_atomically
from recommender.models import IndexHead, IndexSnapshot
from tests.recommender.index import catalogue


@pytest.fixture
def served(model):
    """The active model's snapshot of five listings."""
    catalogue.add_many(model, 5)
    compact(force=True)
    return IndexSnapshot.objects.get()


def another(snapshot, **fields):
    values = {"model": snapshot.model, "position": snapshot.position, "state": "published", **fields}
    return IndexSnapshot.objects.create(directory=f"beside-{IndexSnapshot.objects.count()}", **values)


def test_a_directory_that_goes_while_it_is_looked_at_stops_no_collection(served, index_root):
    (index_root / "segments" / "going.part").symlink_to(index_root / "gone")
    assert collect_garbage() == 0


def test_half_a_segment_stays_while_its_writer_lives_however_slow(served, index_root):
    with write_directory_atomically(index_root / "segments" / "slow") as half:
        os.utime(half, (time.time() - collecting.ABANDONED_SECONDS - 60,) * 2)
        assert collect_garbage() == 0
        assert half.exists()


def test_half_a_segment_whose_writer_was_killed_goes_after_minutes(served, index_root):
    half = index_root / "segments" / "killed.part"
    half.mkdir()
    assert collect_garbage() == 0
    os.utime(half, (time.time() - collecting.ABANDONED_SECONDS - 60,) * 2)
    assert collect_garbage() == 1
    assert not half.exists()


def test_a_segment_that_is_shared_by_a_snapshot_published_meanwhile_stays(served, index_root):
    """Collecting after `models retire` runs beside the compactor."""
    shared = [{"name": "shared"}]
    (index_root / "segments" / "shared").mkdir()
    asked: list[str] = []

    def publish_after_the_first(execute, sql, *rest):
        if "segments" in asked[-1:]:
            asked.append("published")
            another(served, segments=shared, state="retired")
            another(served, segments=shared)
        elif not asked and '"segments"' in sql:
            asked.append("segments")
        return execute(sql, *rest)

    with connection.execute_wrapper(publish_after_the_first):
        collect_garbage()
    assert asked[-1] == "published"
    assert (index_root / "segments" / "shared").exists()


def test_the_heads_snapshot_keeps_its_row_when_it_is_damaged_and_another_lineage_goes_on(served, monkeypatch):
    monkeypatch.setattr(collecting, "KEPT_ROWS", 1)
    IndexSnapshot.objects.filter(pk=served.pk).update(state="damaged")
    old, newest = another(served, state="retired"), another(served, state="retired")
    another(served)
    collect_garbage()
    assert IndexHead.load().snapshot == served
    assert set(IndexSnapshot.objects.exclude(state="published")) == {served, newest}
    assert not IndexSnapshot.objects.filter(pk=old.pk).exists()
