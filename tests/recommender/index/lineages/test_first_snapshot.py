"""A model's first snapshot is built once nearly every photo is embedded, and published only if it is right."""

import pytest

from listings.models import ListingImage
from recommender import feed, registry
from recommender.index.compaction import write_snapshots
from recommender.index.compaction.compactor import compact
from recommender.index.compaction.publish import publish_snapshot
from recommender.index.view import database_rows
from recommender.models import Embedding, IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.catalogue import embed_all
from tests.recommender.index.lineages.published import latest_of, published_of


def store_all(rows, model):
    """One vector for all of these rows, in one statement, and the feed rows of their listings."""
    changed = set(rows.values_list("image__listing_id", flat=True))
    rows.update(state="done", vector=catalogue.unit(1, model.dim).tobytes())
    feed.append_vector_changes(changed, model.pk)


def test_backfilling_ten_thousand_photos_leaves_the_active_delta_empty_and_is_built_once(model, index, other):
    listings = [catalogue.add_listing(model) for _ in range(100)]
    photos = [ListingImage(listing=listing, sha256=f"{n:064}") for listing in listings for n in range(99)]
    ListingImage.objects.bulk_create(photos, batch_size=1_000)
    store_all(Embedding.objects.filter(model=model), model)
    compact(force=True)
    index.refresh()
    state = index.get_state()
    assert state.rows == 10_000
    waiting = Embedding.objects.filter(model=other, vector=None).order_by("pk")
    while ids := list(waiting.values_list("pk", flat=True)[:1_000]):  # a minute's micro-batches
        store_all(Embedding.objects.filter(pk__in=ids), other)
        index.refresh()
        assert (len(index.get_state().delta), index.get_state().behind) == (0, 0)
        compact()
    assert index.get_state().base is state.base
    assert [snapshot.rows for snapshot in published_of(other)] == [10_000]
    assert len(latest_of(other).segments) == 1


def test_a_first_snapshot_waits_until_nearly_every_photo_is_embedded(model, other):
    catalogue.add_many(model, 40)
    embed_all(other)
    rows = Embedding.objects.filter(model=other).order_by("pk")
    waiting = rows.filter(pk__in=list(rows.values_list("pk", flat=True)[:3]))
    waiting.update(state="pending", vector=None)
    compact(force=True)
    assert published_of(other) == []
    waiting.first().delete()  # one photo without a row, which waits as well
    Embedding.objects.filter(pk=waiting.last().pk).update(state="done", vector=catalogue.unit(1, 8).tobytes())
    compact(force=True)
    assert latest_of(other).rows == 38
    assert latest_of(other).recall == 1.0


@pytest.mark.parametrize("fault", ["dimension", "lost"])
def test_a_first_snapshot_that_is_not_what_the_database_holds_is_not_published(
    model, other, fault, monkeypatch, caplog, index_root
):
    catalogue.add_many(model, 20)
    embed_all(other)
    if fault == "dimension":
        odd = Embedding.objects.filter(model=other).first()
        Embedding.objects.filter(pk=odd.pk).update(vector=catalogue.unit(1, 5).tobytes())
    else:
        pages = database_rows.read_all_pages
        monkeypatch.setattr(
            database_rows,
            "read_all_pages",
            lambda *of: ((c.select_rows(c.image > c.image[0]), v[1:]) for c, v in pages(*of)),
        )
    compact(force=True)
    assert published_of(other) == []
    assert "holds 19 photos of 8 dimensions, the database 20 with a vector" in caplog.text
    named = {entry["name"] for entry in latest_of(model).segments}
    assert {path.name for path in (index_root / "segments").iterdir()} == named


def test_a_model_retired_while_its_snapshot_was_built_gets_none_and_leaves_no_file(
    model, other, monkeypatch, index_root
):
    catalogue.add_many(model, 5)
    embed_all(other)

    def retire_first(lease, snapshot, parent):
        if snapshot.model_id == other.pk:
            registry.retire_and_delete(other)
        return publish_snapshot(lease, snapshot, parent)

    monkeypatch.setattr(write_snapshots, "publish_snapshot", retire_first)
    assert compact(force=True).actions == ("superseded",)
    assert not IndexSnapshot.objects.filter(model=other).exists()
    assert len(list((index_root / "segments").iterdir())) == 1
    assert len(list((index_root / "snapshots").iterdir())) == 1
