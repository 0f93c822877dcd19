"""Flush, merge, rebuild: nothing is lost, little is written, and deleted vectors leave the disk."""

import pytest

from listings.models import Listing
from recommender import feed
from recommender.index import Index
from recommender.index.ann import choose_structure
from recommender.index.compaction import lineage_compactor
from recommender.index.compaction.compactor import compact, rebuild
from recommender.index.compaction.lease import CompactorLease
from recommender.index.compaction.verify import verify
from recommender.models import IndexHead, IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.compaction.merges import let_it_retry
from tests.recommender.index.served import listed


def test_each_flush_adds_a_segment_and_merges_keep_them_few(model, index):
    for start in range(0, 200, 10):
        catalogue.add_many(model, 10, start=start)
        compact(force=True)
        assert len(IndexSnapshot.objects.last().segments) <= 4
    assert listed(index) == sorted(Listing.objects.values_list("pk", flat=True))
    assert verify() == []


def test_nothing_due_writes_nothing(model, index):
    catalogue.add_many(model, 3)
    assert compact().actions == ("flushed",)
    catalogue.add_many(model, 3, start=10)
    assert compact().actions == ("nothing",)
    assert compact(force=True).actions == ("flushed",)
    assert compact(force=True).actions == ("nothing",)
    assert IndexSnapshot.objects.count() == 2


def test_a_rebuild_equals_what_it_replaces(model, index):
    catalogue.add_many(model, 30, photos=2)
    compact(force=True)
    Listing.objects.filter(pk=Listing.objects.first().pk).update(price=999)
    before = listed(index)
    rebuild()
    assert listed(index) == before
    assert verify() == []


def test_a_deleted_listing_is_absent_and_after_the_purge_no_file_holds_its_vector(model, index, settings):
    catalogue.add_many(model, 20)
    compact(force=True)
    victim = Listing.objects.order_by("pk")[7]
    vector = catalogue.unit(victim.images.get().pk).tobytes()
    assert holders(settings, vector)
    victim.delete()
    index.refresh()
    assert victim.pk not in listed(index)
    compact(force=True)
    settings.PURGE_DAYS = 0
    compact(force=True)
    assert holders(settings, vector) == []
    assert victim.pk not in listed(index)
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
    assert len(listed(index)) == 20 - deleted
    assert verify() == []


def holders(settings, content):
    return [path for path in settings.INDEX_ROOT.rglob("*") if path.is_file() and content in path.read_bytes()]


def test_a_large_flush_trains_nothing_and_is_trained_by_the_merge_after_it(model, index, settings, monkeypatch):
    settings.INDEX_EXACT_ROWS, settings.INDEX_RECALL_TARGET = 150, 0.0
    catalogue.add_many(model, 200)
    with monkeypatch.context() as faults:
        faults.setattr(choose_structure, "build_search_structure", fails)
        assert compact().actions == ("flushed", "failed")
        assert not feed.read_page(IndexHead.load().snapshot.position, model.pk, 10).listings
        assert listed(index) == sorted(Listing.objects.values_list("pk", flat=True))
        assert compact().actions == ("nothing",)  # it rests first
    let_it_retry(monkeypatch)
    assert compact().actions == ("merged",)
    assert index_segments(index)[0].ivf is not None
    assert listed(index) == sorted(Listing.objects.values_list("pk", flat=True))
    assert compact().actions == ("nothing",)
    assert verify() == []


def fails(*args):
    raise OSError(28, "No space left on device")


def index_segments(index):
    index.refresh()
    return [part.segment for part in index.get_state().base.parts]


def test_what_is_refused_an_inverted_file_is_not_merged_again_and_again(model, settings):
    settings.INDEX_EXACT_ROWS, settings.INDEX_RECALL_TARGET = 150, 1.01
    catalogue.add_many(model, 200)
    assert compact().actions == ("flushed", "merged")
    assert compact(force=True).actions == ("nothing",)


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
    assert index.get_state().behind
    assert compact().actions == ("flushed", "merged")
    assert not feed.read_page(IndexHead.load().snapshot.position, model.pk, 10).listings
    index.refresh()
    assert index.get_state().behind == 0
    assert {listing.pk for listing in added} <= set(listed(index))
    assert verify() == []


def test_more_than_memory_holds_is_rebuilt_and_the_log_says_so(model, index, settings, monkeypatch, caplog):
    settings.INDEX_MEMORY_MB = 0
    monkeypatch.setattr(lineage_compactor, "MIN_FLUSH_CAPACITY", 50)
    catalogue.add_many(model, 5)
    compact()
    catalogue.add_many(model, MORE_THAN_A_PAGE, start=1_000)
    assert compact().actions == ("rebuilt",)
    assert "more changed than a flush may hold (50 rows, by INDEX_MEMORY_MB)" in caplog.text
    assert listed(index) == sorted(Listing.objects.values_list("pk", flat=True))
    assert verify() == []


def test_a_compactor_keeps_its_lease_while_it_reads_what_changed(model, monkeypatch):
    catalogue.add_many(model, MORE_THAN_A_PAGE)
    kept = []
    monkeypatch.setattr(CompactorLease, "renew_if_due", lambda lease: kept.append("kept"))
    monkeypatch.setattr(
        lineage_compactor, "flush_delta_and_publish", lambda lease, state: kept.append("flush") or state.base
    )
    compact()
    assert kept[: kept.index("flush")] == ["kept", "kept"]
