"""A disk of one megabyte that really fills up: the compactor says so and lives, readers answer, it goes on later."""

import os

import numpy as np
import pytest

from listings.models import Listing
from recommender.index import Filter, Index, find_nearest_listings
from recommender.index.ann import choose_structure
from recommender.index.compaction import merge_runner
from recommender.index.compaction.background_merge import Merge
from recommender.index.compaction.compactor import compact, rebuild
from recommender.index.compaction.verify import verify
from recommender.index.storage import segment
from recommender.models import IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.compaction.merges import is_merging, let_it_retry, the_merge, wait_for_merges
from tests.recommender.index.served import named_directories
from tests.recommender.index.small_disk import small_disk

FLUSH_PAGES = 40  # more than the files of a small segment and of a snapshot take


@pytest.fixture
def disk(index_root):
    with small_disk(index_root, 1_024) as disk:
        yield disk


@pytest.fixture(autouse=True)
def no_merge_is_left():
    yield
    wait_for_merges()


def found(index):
    index.refresh()
    assert index.health().problem is None
    query = catalogue.unit(0).astype(np.float32)
    return set(find_nearest_listings(index.get_state(), query, 10_000, Filter()).listing.tolist())


def everything():
    return set(Listing.objects.values_list("pk", flat=True))


def position():
    return IndexSnapshot.objects.last().position


def directories(disk):
    return {path.name for folder in ("segments", "snapshots") for path in (disk.root / folder).glob("*")}


def test_on_a_full_disk_a_flush_fails_and_readers_old_and_new_go_on(model, index, disk, caplog):
    catalogue.add_many(model, 20)
    assert compact(force=True).actions == ("flushed",)
    served = IndexSnapshot.objects.get()
    disk.fill()
    for number in range(3):
        catalogue.add_many(model, 20, start=100 * number)
        Listing.objects.order_by("pk").first().delete()
        assert compact(force=True).actions == ("failed",)
        assert "No space left on device" in caplog.text
        assert found(index) == found(Index()) == everything()
    assert IndexSnapshot.objects.get() == served
    assert directories(disk) == named_directories()
    disk.free()
    assert compact(force=True).actions == ("flushed",)
    assert found(index) == found(Index()) == everything()
    assert len(index.get_state().delta) == 0
    assert verify() == []


def test_a_disk_that_fills_at_any_point_of_a_flush_leaves_the_index_whole(model, index, disk):
    """With no page left, with one, with two: until it succeeds."""
    catalogue.add_many(model, 20)
    compact(force=True)
    outcomes: list[str] = []
    for pages in range(FLUSH_PAGES):
        catalogue.add_many(model, 1, start=pages)
        disk.fill(pages)
        outcomes += compact(force=True).actions[:1]
        assert found(index) == found(Index()) == everything()
        if outcomes[-1] == "flushed":
            break
    assert outcomes[-1] == "flushed"
    assert set(outcomes[:-1]) == {"failed"}
    assert len(outcomes) > 10
    disk.free()
    assert compact(force=True).actions == ("nothing",)
    assert verify() == []


def test_a_segment_larger_than_what_is_left_is_an_error_and_no_fault_in_a_map(model, index, disk):
    catalogue.add_many(model, 20)
    compact(force=True)
    served = IndexSnapshot.objects.get()
    catalogue.add_many(model, 3_000, start=100)
    disk.fill(20)
    assert compact(force=True).actions == ("failed",)
    assert rebuild().actions == ("failed",)
    assert IndexSnapshot.objects.get() == served
    assert directories(disk) == named_directories()
    assert len(found(index)) == 3_020


def fills_up(monkeypatch, disk, module, name, *, while_merging):
    """The disk is full as soon as the merge comes to this function."""
    real = getattr(module, name)

    def full(*args, **options):
        if while_merging():
            disk.fill(3)
        return real(*args, **options)

    monkeypatch.setattr(module, name, full)


POINTS = {
    "as it begins": (segment, "write_segment"),
    "when its vectors are written": (choose_structure, "build_search_structure"),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_disk_that_fills_during_a_merge_stops_no_flush(model, index, disk, monkeypatch, settings, point):
    """The flush before the merge is published, time after time, and the merge is made when there is space."""
    settings.INDEX_EXACT_ROWS, settings.INDEX_RECALL_TARGET = 200, 0.0
    begun = []
    write = Merge.write_segment
    monkeypatch.setattr(Merge, "write_segment", lambda *args: begun.append(1) or write(*args))
    fills_up(monkeypatch, disk, *POINTS[point], while_merging=lambda: begun)
    for number in range(3):
        catalogue.add_many(model, 60, start=100 * number)
        assert compact(force=True).actions == ("flushed",)
    positions = [position()]
    for number in range(3, 6):
        catalogue.add_many(model, 60, start=100 * number)
        assert compact(force=True).actions == ("flushed", "failed")
        assert begun
        positions.append(position())
        begun.clear()
        disk.free()
        assert found(index) == found(Index()) == everything()
        assert len(index.get_state().delta) == 0
        assert directories(disk) == named_directories()
    assert len(set(positions)) == 4
    monkeypatch.setattr(Merge, "write_segment", write)
    assert compact(force=True).actions == ("merged",)
    assert found(index) == everything()
    assert verify() == []


@pytest.mark.parametrize("point", POINTS)
def test_a_disk_that_fills_during_a_merge_on_its_thread_stops_no_flush(
    model, index, disk, monkeypatch, settings, point
):
    settings.INDEX_EXACT_ROWS, settings.INDEX_RECALL_TARGET, settings.INDEX_FLUSH_ROWS = 200, 0.0, 1
    monkeypatch.setattr(merge_runner, "FOREGROUND_MERGE_ROWS", 0)
    is_full: list[int] = []
    fills_up(
        monkeypatch,
        disk,
        *POINTS[point],
        while_merging=lambda: not is_full and is_merging() and not is_full.append(1),
    )
    for number in range(4):
        catalogue.add_many(model, 60, start=100 * number)
        assert compact().actions == ("flushed",)
    the_merge().wait()
    assert is_full
    disk.free()
    assert directories(disk) == named_directories()
    catalogue.add_many(model, 60, start=900)
    before = position()
    assert compact().actions == ("flushed", "failed")
    assert position() != before
    assert directories(disk) == named_directories()
    let_it_retry(monkeypatch)
    assert compact().actions == ("nothing",)
    the_merge().wait()
    assert compact().actions == ("merged",)
    assert found(index) == everything()
    assert verify() == []


def test_the_disk_of_these_tests_is_small(disk, index_root):
    assert os.statvfs(index_root).f_blocks * os.statvfs(index_root).f_frsize == 1 << 20
