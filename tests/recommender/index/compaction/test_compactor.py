"""Flush, merge, publish: nothing lost, one pointer, no half-written files, deleted vectors leave the disk."""

import errno
import math
import os
import shutil
import uuid

import numpy as np
import pytest
from django.db import OperationalError

from listings.models import Listing
from recommender import feed
from recommender.index import Filter, Index
from recommender.index.ann import choose_structure
from recommender.index.compaction import lineage_compactor, retry_pause, write_snapshots
from recommender.index.compaction import publish as publishing
from recommender.index.compaction.compactor import compact, own_compactor, rebuild
from recommender.index.compaction.lease import Lease, acquire_lease
from recommender.index.compaction.lineage_compactor import LineageCompactor
from recommender.index.compaction.merge_policy import SegmentSize, is_flush_due, plan_merge
from recommender.index.compaction.publish import publish
from recommender.index.compaction.verify import verify
from recommender.index.errors import LeaseLost, SnapshotDamaged
from recommender.index.rows.vector_file import VectorFile
from recommender.index.storage import segment, snapshot
from recommender.index.storage.snapshot import segment_directory, snapshot_directory
from recommender.models import EmbeddingModel, IndexHead, IndexSnapshot
from tests.recommender.index import catalogue

QUERY = catalogue.unit(0).astype(np.float32)


def found(index):
    index.refresh()
    return sorted(index.state().search(QUERY, 10_000, Filter(statuses=("active", "sold"))).listing.tolist())


def test_each_flush_adds_a_segment_and_merges_keep_them_few(model, index):
    for start in range(0, 200, 10):
        catalogue.add_many(model, 10, start=start)
        compact(force=True)
        assert len(IndexSnapshot.objects.last().segments) <= 4
    assert found(index) == sorted(Listing.objects.values_list("pk", flat=True))
    assert verify() == []


def test_nothing_due_writes_nothing(model, index):
    catalogue.add_many(model, 3)
    assert compact().actions == ("flushed",)
    catalogue.add_many(model, 3, start=10)
    assert compact().actions == ("nothing",)
    assert compact(force=True).actions == ("flushed",)
    assert compact(force=True).actions == ("nothing",)
    assert IndexSnapshot.objects.count() == 2


def test_a_deleted_listing_is_absent_and_after_the_purge_no_file_holds_its_vector(model, index, settings):
    catalogue.add_many(model, 20)
    compact(force=True)
    victim = Listing.objects.order_by("pk")[7]
    vector = catalogue.unit(victim.images.get().pk).tobytes()
    assert holders(settings, vector)
    victim.delete()
    index.refresh()
    assert victim.pk not in found(index)
    compact(force=True)
    settings.PURGE_DAYS = 0
    compact(force=True)
    assert holders(settings, vector) == []
    assert victim.pk not in found(index)
    assert verify() == []


@pytest.mark.parametrize("deleted", [15, 20])
def test_a_quiet_site_keeps_no_deleted_vector_for_a_fallback_past_the_purge(model, index, settings, deleted):
    """More than half a segment dies and is rewritten, or all of it and is dropped; then nothing more happens."""
    catalogue.add_many(model, 20)
    compact(force=True)
    victims = Listing.objects.order_by("pk")[:deleted]
    vector = catalogue.unit(victims[0].images.get().pk).tobytes()
    for victim in victims:
        victim.delete()
    compact(force=True)
    assert holders(settings, vector)
    settings.PURGE_DAYS = 0
    compact()
    assert holders(settings, vector) == []
    assert len(found(index)) == 20 - deleted
    assert verify() == []


def test_files_stay_when_a_connection_is_lost_at_the_commit_that_may_have_happened(model, index, monkeypatch):
    catalogue.add_many(model, 5)
    real = publishing.append_snapshot

    def answer_lost(*args):
        real(*args)
        raise OperationalError("the connection was lost at the commit")

    monkeypatch.setattr(publishing, "append_snapshot", answer_lost)
    with pytest.raises(OperationalError):
        compact(force=True)
    monkeypatch.undo()
    assert len(found(index)) == 5
    assert index.health()["problem"] is None
    assert compact(force=True).actions == ("nothing",)


def holders(settings, content):
    return [path for path in settings.INDEX_ROOT.rglob("*") if path.is_file() and content in path.read_bytes()]


def test_a_second_compactor_waits_its_turn_and_a_late_one_cannot_publish(model, index):
    catalogue.add_many(model, 5)
    with acquire_lease() as lease:
        assert compact(force=True).actions == ("busy",)
        IndexHead.objects.update(token=uuid.uuid4())
        index.refresh()
        with pytest.raises(LeaseLost):
            publish(lease, index.state().base, parent=None)
    IndexHead.objects.update(token=None)
    assert compact(force=True).actions == ("flushed",)


def test_a_compactor_that_wakes_up_late_changes_nothing_and_leaves_no_files(model, index, monkeypatch, settings):
    catalogue.add_many(model, 5)
    real = write_snapshots.publish

    def stalled(lease, snapshot, parent):
        """Meanwhile the lease ran out and another compactor published."""
        monkeypatch.setattr(write_snapshots, "publish", real)
        IndexHead.objects.update(token=None)
        assert compact(force=True).actions == ("flushed",)
        return real(lease, snapshot, parent)

    monkeypatch.setattr(write_snapshots, "publish", stalled)
    assert compact(force=True).actions == ("superseded",)
    head = IndexHead.load()
    assert [row.pk for row in IndexSnapshot.objects.all()] == [head.snapshot_id]
    assert [path.name for path in (settings.INDEX_ROOT / "snapshots").iterdir()] == [head.snapshot.directory]
    assert verify() == []


def test_the_index_directory_can_be_deleted(model, index, settings):
    catalogue.add_many(model, 20)
    compact(force=True)
    before = found(index)
    shutil.rmtree(settings.INDEX_ROOT)
    assert found(index) == before  # mapped files outlive their names
    late = catalogue.add_listing(model)
    assert found(index) == [*before, late.pk]
    assert compact().actions == ("rebuilt",)
    assert found(index) == [*before, late.pk]
    assert verify() == []


def test_a_process_that_cannot_open_the_new_snapshot_keeps_its_state_fresh_and_says_so(model, index):
    catalogue.add_many(model, 20)
    compact(force=True)
    before = found(index)
    catalogue.add_listing(model)
    compact(force=True)
    directory = segment_directory(IndexSnapshot.objects.last().segments[-1]["name"])
    hidden = directory.rename(directory.with_name("hidden"))
    assert len(found(index)) == len(before) + 1
    assert str(directory) in index.health()["problem"]
    assert IndexSnapshot.objects.last().state == "published"
    hidden.rename(directory)
    index._retry_at = 0
    found(index)
    assert index.health()["problem"] is None
    assert index.state().snapshot_id == IndexHead.load().snapshot_id


def test_a_fresh_process_falls_back_to_the_previous_snapshot(model, index):
    catalogue.add_many(model, 20)
    compact(force=True)
    catalogue.add_many(model, 5, start=100)
    compact(force=True)
    shutil.rmtree(snapshot_directory(IndexSnapshot.objects.last().directory))
    assert found(index) == sorted(Listing.objects.values_list("pk", flat=True))
    assert "serving snapshot" in index.health()["problem"]


def test_a_rebuild_equals_what_it_replaces(model, index):
    catalogue.add_many(model, 30, photos=2)
    compact(force=True)
    Listing.objects.filter(pk=Listing.objects.first().pk).update(price=999)
    before = found(index)
    rebuild()
    assert found(index) == before
    assert verify() == []


def test_a_full_disk_leaves_no_half_segment_and_the_worker_alive(model, index, settings, monkeypatch, caplog):
    catalogue.add_many(model, 5)

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segment, "write_file", full)
    assert compact(force=True).actions == ("failed",)
    assert "No space left" in caplog.text
    assert list((settings.INDEX_ROOT / "segments").iterdir()) == []
    monkeypatch.undo()
    settings.INDEX_ROOT.mkdir(exist_ok=True)
    assert compact(force=True).actions == ("flushed",)


def test_a_snapshot_that_cannot_be_written_leaves_no_segment_behind(model, index_root, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "write_file", full)
    for number in range(3):
        catalogue.add_many(model, 5, start=number * 5)
        assert compact(force=True).actions == ("failed",)
    assert list((index_root / "segments").iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "age", "due"),
    [(0, 1e9, False), (1, 0, False), (1, 120, True), (1, math.inf, True), (1999, 119, False), (2000, 0, True)],
)
def test_a_flush_is_due_when_much_changed_or_something_waited_long(changed, age, due):
    assert is_flush_due(changed, age, flush_rows=2000) is due


@pytest.mark.parametrize(
    ("sizes", "merged"),
    [
        ([], []),
        ([SegmentSize(900, 900)] * 3, []),
        ([SegmentSize(900, 900)] * 4, [0, 1, 2, 3]),
        ([SegmentSize(10_000, 10_000), *[SegmentSize(900, 900)] * 4], [1, 2, 3, 4]),
        ([SegmentSize(10_000, 4_000), SegmentSize(900, 900)], [0]),
        ([SegmentSize(10_000, 9_999, dead_seconds=99)], []),
        ([SegmentSize(10_000, 9_999, dead_seconds=100)], [0]),
        ([SegmentSize(4_000, 4_000)] * 4, [0, 1, 2, 3]),
        ([SegmentSize(4_001, 4_001), *[SegmentSize(4_000, 4_000)] * 3], []),
        ([SegmentSize(9_000, 9_000), SegmentSize(20_000, 20_000, untrained=True)], [1]),
        ([SegmentSize(20_000, 20_000, untrained=True)] * 2, [0, 1]),
        ([SegmentSize(20_000, 20_000, untrained=True), *[SegmentSize(900, 900)] * 4], [1, 2, 3, 4]),
        ([SegmentSize(20_000, 20_000, untrained=True), SegmentSize(900, 400)], [1]),
    ],
)
def test_full_tiers_and_half_dead_or_overdue_segments_are_merged(sizes, merged):
    assert plan_merge(sizes, purge_seconds=100) == merged


def test_a_large_flush_trains_nothing_and_is_trained_by_the_merge_after_it(model, index, settings, monkeypatch):
    settings.INDEX_EXACT_ROWS, settings.INDEX_RECALL_TARGET = 150, 0.0
    catalogue.add_many(model, 200)
    with monkeypatch.context() as faults:
        faults.setattr(choose_structure, "build", fails)
        assert compact().actions == ("flushed", "failed")
        assert not feed.read(IndexHead.load().snapshot.position, model.pk, 10).listings
        assert found(index) == sorted(Listing.objects.values_list("pk", flat=True))
        assert compact().actions == ("nothing",)  # it rests first
    monkeypatch.setattr(retry_pause, "RETRY_SECONDS", 0)  # a while later
    assert compact().actions == ("merged",)
    assert index_segments(index)[0].ivf is not None
    assert found(index) == sorted(Listing.objects.values_list("pk", flat=True))
    assert compact().actions == ("nothing",)
    assert verify() == []


def fails(*args):
    raise OSError(28, "No space left on device")


def index_segments(index):
    index.refresh()
    return [part.segment for part in index.state().base.parts]


MORE_THAN_A_PAGE = 600  # listings: whether there is room is asked before each page


def test_more_than_readers_hold_is_flushed_and_rebuilds_nothing(model, settings, monkeypatch):
    settings.INDEX_FLUSH_ROWS, settings.INDEX_MEMORY_MB = 500, 1  # room for 16,384 vectors
    monkeypatch.setattr(lineage_compactor, "MIN_FLUSH_CAPACITY", 50)
    index = Index(50)
    catalogue.add_many(model, 700)
    compact()
    Listing.objects.update(price=55)
    added = catalogue.add_many(model, MORE_THAN_A_PAGE, start=1_000)
    index.refresh()
    assert index.state().behind
    assert compact().actions == ("flushed", "merged")
    assert not feed.read(IndexHead.load().snapshot.position, model.pk, 10).listings
    index.refresh()
    assert index.state().behind == 0
    assert {listing.pk for listing in added} <= set(found(index))
    assert verify() == []


def test_more_than_memory_holds_is_rebuilt_and_the_log_says_so(model, index, settings, monkeypatch, caplog):
    settings.INDEX_MEMORY_MB = 0
    monkeypatch.setattr(lineage_compactor, "MIN_FLUSH_CAPACITY", 50)
    catalogue.add_many(model, 5)
    compact()
    catalogue.add_many(model, MORE_THAN_A_PAGE, start=1_000)
    assert compact().actions == ("rebuilt",)
    assert "more changed than a flush may hold (50 rows, by INDEX_MEMORY_MB)" in caplog.text
    assert found(index) == sorted(Listing.objects.values_list("pk", flat=True))
    assert verify() == []


def test_a_compactor_keeps_its_lease_while_it_reads_what_changed(model, monkeypatch):
    catalogue.add_many(model, MORE_THAN_A_PAGE)
    kept = []
    monkeypatch.setattr(Lease, "renew_if_due", lambda lease: kept.append("kept"))
    monkeypatch.setattr(lineage_compactor, "flush", lambda lease, state: kept.append("flush") or state.base)
    compact()
    assert kept[: kept.index("flush")] == ["kept", "kept"]


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

    monkeypatch.setattr(segment.VectorFile, "map", refuse)
    for _ in range(2):
        assert compact(force=True).actions == ("failed",)
    assert os.strerror(number) in caplog.text
    assert IndexSnapshot.objects.get().state == "published"
    assert sorted(path for path in index_root.rglob("*")) == before
    monkeypatch.undo()
    assert compact(force=True).actions == ("nothing",)
    assert len(found(index)) == 20


def test_a_flush_that_cannot_be_opened_again_leaves_nothing_behind(model, index_root, monkeypatch):
    def damaged(directory, version):
        raise SnapshotDamaged(f"{directory} is missing or altered")

    monkeypatch.setattr(segment, "load", damaged)
    catalogue.add_many(model, 5)
    for _ in range(2):
        assert compact(force=True).actions == ("failed",)
        assert list((index_root / "segments").iterdir()) == []
    monkeypatch.undo()
    assert compact(force=True).actions == ("flushed",)


def test_what_ails_one_models_line_stops_no_others(model, monkeypatch, caplog):
    EmbeddingModel.objects.create(version="m2", arch="fake", dim=16, checkpoint="m2", sha256="1" * 64, state="standby")
    asked = []

    def ails(one, lease, *, force):
        asked.append(one.model.version)
        raise SnapshotDamaged(f"the files of {one.model.version}")

    monkeypatch.setattr(LineageCompactor, "compact", ails)
    assert compact().actions == ("failed", "failed")
    assert sorted(asked) == ["m1", "m2"]
    assert "the files of m2" in caplog.text


@pytest.mark.parametrize("error", [SnapshotDamaged("bad bytes"), ValueError("a fault"), MemoryError()])
def test_a_merge_that_fails_costs_nothing_but_itself(model, index, index_root, monkeypatch, error):
    for number in range(3):
        catalogue.add_many(model, 10, start=number * 10)
        compact(force=True)
    catalogue.add_many(model, 10, start=100)

    def fail(*args):
        raise error

    place = (segment, "load") if isinstance(error, SnapshotDamaged) else (VectorFile, "read")
    real = segment.load

    def load(directory, version):
        return fail() if segment.read_manifest(directory)["rows"] == 40 else real(directory, version)

    monkeypatch.setattr(*place, load if place[0] is segment else fail)
    assert compact(force=True).actions == ("flushed", "failed")
    assert len(list((index_root / "segments").iterdir())) == 4
    monkeypatch.undo()
    assert compact(force=True).actions == ("merged",)
    assert found(index) == sorted(Listing.objects.values_list("pk", flat=True))
    assert verify() == []


def test_what_is_refused_an_inverted_file_is_not_merged_again_and_again(model, settings):
    settings.INDEX_EXACT_ROWS, settings.INDEX_RECALL_TARGET = 150, 1.01
    catalogue.add_many(model, 200)
    assert compact().actions == ("flushed", "merged")
    assert compact(force=True).actions == ("nothing",)


@pytest.mark.parametrize("flushed", [2_000, 10_000, 20_000])
def test_each_row_is_rewritten_a_logarithmic_number_of_times(flushed):
    """What large flushes leave untrained is written once more."""
    sizes, written = [], 0
    for _ in range(1_000_000 // flushed):
        sizes.append(SegmentSize(flushed, flushed, untrained=flushed >= 10_000))
        written += flushed
        while merging := plan_merge(sizes, 1e9):
            total = sum(sizes[number].rows for number in merging)
            sizes = [size for number, size in enumerate(sizes) if number not in merging] + [SegmentSize(total, total)]
            written += total
    assert sum(size.rows for size in sizes) == 1_000_000
    assert written <= 6 * 1_000_000
    assert len(sizes) <= 20
