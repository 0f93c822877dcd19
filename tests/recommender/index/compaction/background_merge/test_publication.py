"""Flushes go on while a merge runs, and what changed meanwhile is right once it is published."""

import threading

import numpy as np
import pytest
from django.db import connection

from listings.models import Listing, ListingImage
from recommender.index import Filter, Index, find_nearest_listings
from recommender.index.compaction import background_merge, merge_runner
from recommender.index.compaction.compactor import compact
from recommender.index.compaction.verify import verify
from recommender.models import EmbeddingModel, IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.compaction.merges import (
    BATCH,
    begin_a_merge,
    running_merges,
    the_merge,
    wait_for_merges,
)
from tests.recommender.index.served import (
    EVERYTHING,
    everything,
    found,
    segment_names,
    structure_kinds,
)


def test_changes_are_flushed_and_visible_while_a_merge_runs_and_right_once_it_is_published(model, index, stop):
    begin_a_merge(model, stop)
    merging = segment_names()
    deleted, removed, edited, embedded, moved, kept, *_ = Listing.objects.order_by("pk")[7::30]
    gone = [deleted.pk, removed.pk]
    deleted.delete()
    Listing.objects.filter(pk=removed.pk).update(status="removed")
    Listing.objects.filter(pk=edited.pk).update(price=7_777)
    catalogue.store_vector(embedded.images.get(), model, catalogue.unit(987_654))
    ListingImage.objects.filter(listing=moved).update(listing=kept)
    late = catalogue.add_listing(model, seed=4_321)
    before = IndexSnapshot.objects.last()
    assert compact().actions == ("flushed",)
    assert IndexSnapshot.objects.last().position != before.position
    assert set(segment_names()) > set(merging)
    ends_right(index, gone, edited, embedded, moved, late)
    Listing.objects.filter(pk=kept.pk).update(price=8_888)  # a second flush, over the first
    assert compact().actions == ("flushed",)
    stop.release()
    assert compact().actions == ("merged",)
    assert set(segment_names()).isdisjoint(merging)
    assert "ivf" in structure_kinds()
    ends_right(index, gone, edited, embedded, moved, late)
    ends_right(Index(), gone, edited, embedded, moved, late)
    assert found(index, Filter(min_price=8_888), exact=True) == {kept.pk}
    assert verify() == []
    assert compact(force=True).actions == ("nothing",)


def ends_right(index, gone, edited, embedded, moved, late):
    assert found(index, exact=True) == everything() - {moved.pk}
    assert found(index, exact=True).isdisjoint(gone)
    assert edited.pk in found(index, Filter(min_price=7_777, max_price=7_777), exact=True)
    assert best(index, catalogue.unit(987_654)) == (embedded.pk, pytest.approx(1, abs=1e-2))
    assert best(index, catalogue.unit(432_100)) == (late.pk, pytest.approx(1, abs=1e-2))


def best(index, vector):
    """(the most similar listing, its similarity)"""
    index.refresh()
    answer = find_nearest_listings(index.get_state(), vector.astype(np.float32), 1, EVERYTHING)
    return int(answer.listing[0]), float(answer.similarity[0])


def test_a_segment_being_merged_is_merged_nowhere_else(model, index, early_stop):
    """Neither on another thread nor at once, however many flushes come meanwhile."""
    begin_a_merge(model, early_stop)
    first = set(the_merge().sources)
    for number in range(4, 9):
        catalogue.add_many(model, 5, start=number * BATCH)
        assert compact().actions == ("flushed",)
        assert first <= set(segment_names())
    assert len(running_merges()) == 1
    early_stop.release()
    assert compact().actions == ("merged",)
    assert first.isdisjoint(segment_names())
    assert compact(force=True).actions == ("merged",)  # the five flushes that waited
    assert len(segment_names()) <= 2
    assert found(index, exact=True) == everything()
    assert verify() == []


def test_short_merges_go_on_beside_a_long_one(model, index, early_stop, monkeypatch):
    monkeypatch.setattr(merge_runner, "FOREGROUND_MERGE_ROWS", BATCH)
    begin_a_merge(model, early_stop)
    for number in range(4, 8):
        catalogue.add_many(model, 5, start=number * BATCH)
        actions = compact().actions
    assert actions == ("flushed", "merged")
    assert len(segment_names()) == 5
    early_stop.release()
    assert compact().actions == ("merged",)
    assert len(segment_names()) == 2
    assert found(index, exact=True) == everything()
    assert verify() == []


def test_forcing_waits_for_the_merge_that_runs_and_publishes_it(model, index, early_stop):
    begin_a_merge(model, early_stop)
    merging = the_merge()
    threading.Timer(0.3, early_stop.go.set).start()
    assert compact(force=True).actions == ("merged",)
    assert merging.is_done
    assert segment_names() == [merging.directory.name]
    assert running_merges() == {}


def test_searches_beside_a_merge_and_its_publication_always_find_everything(model, index, stop):
    begin_a_merge(model, stop)
    expected, faults, end = everything(), [], threading.Event()
    index.start()

    def keep_searching():
        query = catalogue.unit(0).astype(np.float32)
        while not end.is_set():
            answer = find_nearest_listings(index.get_state(), query, 10_000, EVERYTHING, exact=True).listing.tolist()
            if len(answer) != len(expected) or set(answer) != expected:
                faults.append(len(answer))
        connection.close()

    index.refresh()
    searchers = [threading.Thread(target=keep_searching) for _ in range(2)]
    for searcher in searchers:
        searcher.start()
    for price in (5, 6):
        Listing.objects.filter(pk__in=sorted(expected)[price::7]).update(price=price)
        compact()
    stop.release()
    assert compact().actions == ("merged",)
    snapshot = IndexSnapshot.objects.last().pk
    for _ in range(200):
        if index.get_state().snapshot_id == snapshot:
            break
        end.wait(0.02)
    end.set()
    for searcher in searchers:
        searcher.join()
    index.stop()
    assert index.get_state().snapshot_id == snapshot
    assert faults == []


def test_each_lineage_has_a_merge_of_its_own(model, early_stop):
    other = EmbeddingModel.objects.create(
        version="m2", arch="fake", dim=8, checkpoint="m2", sha256="1" * 64, state="standby"
    )
    for number in range(4):
        catalogue.add_many(model, 20, start=number * 20)
        catalogue.embed_all(other)
        compact()
    for _ in range(3):
        catalogue.add_many(model, 20, start=900)
        catalogue.embed_all(other)
        compact()
    assert sorted(running_merges()) == [model.pk, other.pk]
    early_stop.go.set()
    wait_for_merges()
    assert compact().actions.count("merged") == 2
    assert verify() == []


def test_the_merge_of_a_model_that_is_retired_is_given_up(model, early_stop, monkeypatch):
    monkeypatch.setattr(background_merge, "STOP_SECONDS", 0.0)  # its thread is held up below
    begin_a_merge(model, early_stop)
    merge = the_merge()
    EmbeddingModel.objects.filter(pk=model.pk).update(state="retired")
    assert compact().actions == ("nothing",)
    assert running_merges() == {}
    early_stop.go.set()
    merge.wait()
    assert merge.has_failed
    assert not merge.directory.exists()
