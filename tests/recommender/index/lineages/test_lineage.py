"""Each live model has a lineage of snapshots; what is done for one costs the others nothing and loses them nothing."""

import shutil
from datetime import timedelta

import pytest
from django.db.models.signals import post_save
from django.utils import timezone

from listings.models import Listing
from recommender import feed, registry
from recommender.index import Filter, Index, find_nearest_listings
from recommender.index.compaction import write_snapshots
from recommender.index.compaction.compactor import compact, rebuild
from recommender.index.compaction.lease import acquire_lease
from recommender.index.compaction.publish import publish_snapshot
from recommender.index.compaction.verify import repair_differences, verify
from recommender.index.errors import LeaseLost
from recommender.index.storage.snapshot import segment_directory, snapshot_directory
from recommender.models import Embedding, EmbeddingModelQuerySet, IndexChange, IndexHead, IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.catalogue import embed_all
from tests.recommender.index.lineages.published import latest_of, published_of
from tests.recommender.index.served import (
    listed,
)


def age(seconds):
    """Make every snapshot older."""
    IndexSnapshot.objects.update(created_at=timezone.now() - timedelta(seconds=seconds))


def test_a_lineage_is_kept_flushed_and_merged_like_the_active_one(model, other):
    for start in range(0, 60, 10):
        catalogue.add_many(model, 10, start=start)
        embed_all(other)
        compact(force=True)
    assert [len(published_of(live)) for live in (model, other)] == [2, 2]
    assert {latest_of(live).rows for live in (model, other)} == {60}
    assert len(latest_of(other).segments) <= 4
    assert IndexHead.load().snapshot == latest_of(model)


def test_only_what_every_retained_snapshot_of_every_lineage_includes_is_pruned(model, index, other):
    catalogue.add_many(model, 5)
    embed_all(other)
    compact(force=True)
    behind = latest_of(other)
    for price in range(1, 5):
        Listing.objects.update(price=price)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(EmbeddingModelQuerySet, "live", lambda rows: rows.filter(pk=model.pk))  # the other waits
            compact(force=True)
    assert feed.covers_horizon(behind.position, IndexHead.load().horizon)
    registry.activate(other)
    assert len(listed(index)) == 5
    assert (
        find_nearest_listings(index.get_state(), catalogue.unit(0, 8).astype("float32"), 5, Filter()).price.tolist()
        == [4.0] * 5
    )
    assert feed.read_page(behind.position, other.pk).attributes == set(Listing.objects.values_list("pk", flat=True))


def test_a_backfilling_model_without_a_snapshot_holds_no_feed_back(model, other):
    catalogue.add_many(model, 5)
    for price in range(1, 4):
        Listing.objects.update(price=price)
        compact(force=True)
    assert published_of(other) == []
    assert not IndexChange.objects.filter(model_id=model.pk).exists()


def test_a_lineage_that_nothing_changes_moves_on_when_the_feed_grows_long(model, other, monkeypatch):
    """Rows of a backfill do not concern the other lineages, yet these would keep them in the feed."""
    catalogue.add_many(model, 5)
    embed_all(other)
    compact(force=True)
    monkeypatch.setattr("recommender.index.compaction.merge_policy.LONG_FEED", 100)
    for _ in range(3):
        for row in Embedding.objects.filter(model=other).select_related("image"):
            catalogue.store_vector(row.image, other, catalogue.unit(row.pk, 8))
        feed.append_vector_changes(range(1000, 1200), other.pk)
        age(121)
        compact()
    assert latest_of(model).rows == 5
    assert feed.estimate_row_count() <= 420


def test_a_snapshot_that_was_not_built_from_the_newest_of_its_lineage_is_not_published(model, other):
    catalogue.add_many(model, 5)
    embed_all(other)
    compact(force=True)
    for live in (model, other):
        reader = Index(lineage_of=live.pk)
        reader.refresh()
        with acquire_lease() as lease, pytest.raises(LeaseLost, match="moved on"):
            publish_snapshot(lease, reader.get_state().base, parent=latest_of(live).pk - 1)
    assert [len(published_of(live)) for live in (model, other)] == [1, 1]


def test_a_deleted_photo_leaves_the_files_of_every_lineage(model, other, settings, index_root):
    catalogue.add_many(model, 20)
    embed_all(other)
    compact(force=True)
    victim = Listing.objects.order_by("pk")[7]
    image = victim.images.get().pk
    vectors = [catalogue.unit(image, live.dim).tobytes() for live in (model, other)]
    files = list(index_root.rglob("*.f16"))
    assert all(any(vector in path.read_bytes() for path in files) for vector in vectors)
    victim.delete()
    compact(force=True)
    settings.PURGE_DAYS = 0
    compact(force=True)
    left = b"".join(path.read_bytes() for path in index_root.rglob("*.f16"))
    assert not any(vector in left for vector in vectors)


def test_a_damaged_snapshot_on_standby_is_built_again_from_rows(model, index, other):
    catalogue.add_many(model, 5)
    embed_all(other)
    compact(force=True)
    registry.activate(other)
    shutil.rmtree(segment_directory(latest_of(model).segments[0]["name"]))
    (difference,) = verify()
    assert difference.kind == "snapshot"
    assert difference.detail.startswith("m1: ")
    compact()
    assert latest_of(model).rows == 5
    assert IndexHead.load().snapshot == latest_of(other)
    registry.roll_back()
    assert len(listed(index)) == 5
    assert verify() == []


def test_files_altered_in_another_lineage_are_named_and_mended(model, other):
    catalogue.add_many(model, 5)
    embed_all(other)
    compact(force=True)
    path = segment_directory(latest_of(other).segments[0]["name"]) / "price.npy"
    path.write_bytes(path.read_bytes()[::-1])
    differences = verify()
    assert {difference.kind for difference in differences} == {"snapshot"}
    assert str(path) in str(differences[0])
    repair_differences(differences)
    assert verify() == []
    assert {latest_of(live).rows for live in (model, other)} == {5}


def test_a_new_history_begins_for_every_lineage(model, index, other):
    catalogue.add_many(model, 5)
    embed_all(other)
    compact(force=True)
    retired = [latest_of(model).directory, latest_of(other).directory]
    rebuild(new_epoch=True)
    assert [len(published_of(live)) for live in (model, other)] == [1, 1]
    assert not any(snapshot_directory(name).exists() for name in retired)
    registry.activate(other)
    assert len(listed(index)) == 5
    assert verify() == []


def test_a_model_activated_while_its_snapshot_was_built_takes_the_head_along(model, other, monkeypatch):
    catalogue.add_many(model, 5)
    embed_all(other)
    compact(force=True)
    Listing.objects.filter(pk=Listing.objects.first().pk).update(price=3)

    def activate_first(lease, snapshot, parent):
        if snapshot.model_id == other.pk:
            registry.activate(other)
        return publish_snapshot(lease, snapshot, parent)

    monkeypatch.setattr(write_snapshots, "publish_snapshot", activate_first)
    assert compact(force=True).actions == ("flushed", "flushed")
    assert IndexHead.load().snapshot == latest_of(other)
    assert len(published_of(other)) == 2


def test_a_model_retired_before_its_turn_is_neither_compacted_nor_built_anew(model, other):
    catalogue.add_many(model, 5)
    embed_all(other)
    compact(force=True)
    catalogue.add_many(model, 5, start=10)
    embed_all(other)

    def retire_the_other(instance, **signal):
        registry.retire(other)

    post_save.connect(retire_the_other, sender=IndexSnapshot)
    try:
        assert compact(force=True).actions == ("flushed",)
    finally:
        post_save.disconnect(retire_the_other, sender=IndexSnapshot)
    assert published_of(other) == []


def test_a_rebuild_says_which_lineages_it_built_and_what_stopped_it(model, other, index_root):
    catalogue.add_many(model, 5)
    embed_all(other)
    compact(force=True)
    assert rebuild().actions == ("rebuilt", "rebuilt")
    shutil.rmtree(index_root)
    index_root.write_text("in the way")
    assert rebuild().actions == ("failed",)
