"""Refreshing happens outside transactions and never shows half a change (hazard: refresh in the wrong place)."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from listings.models import Listing
from recommender import feed
from recommender.index import Filter, Index, IndexNotReady, find_nearest_listings
from recommender.index.compaction.compactor import compact, rebuild
from recommender.index.errors import RefreshInTransaction
from recommender.index.view import refresher
from recommender.index.view.apply_changes import apply_changes
from recommender.models import EmbeddingModel, IndexHead
from tests.recommender.index import catalogue
from tests.servers.waiting import runs_thread, wait_for

QUERY = catalogue.unit(0).astype(np.float32)


def found(index, **where):
    return sorted(find_nearest_listings(index.get_state(), QUERY, 100, Filter(**where)).listing.tolist())


def test_refresh_inside_a_transaction_is_refused_and_a_rolled_back_change_is_never_seen(model, index):
    listing = catalogue.add_listing(model, price=1)
    index.refresh()
    with transaction.atomic():
        Listing.objects.filter(pk=listing.pk).update(price=2)
        with pytest.raises(RefreshInTransaction):
            index.refresh()
        transaction.set_rollback(True)
    other = catalogue.add_listing(model, price=3)
    index.refresh()
    assert found(index, min_price=2) == [other.pk]
    assert found(index, max_price=1) == [listing.pk]


def test_a_change_uncommitted_at_the_last_refresh_is_seen_once_it_commits(model, index):
    listing = catalogue.add_listing(model, price=1)
    index.refresh()
    changed, go = threading.Event(), threading.Event()

    def change():
        with transaction.atomic():
            Listing.objects.filter(pk=listing.pk).update(price=2)
            changed.set()
            go.wait(5)
        connection.close()

    writer = threading.Thread(target=change)
    writer.start()
    changed.wait(5)
    index.refresh()
    assert found(index, min_price=2) == []
    if connection.vendor == "postgresql":
        later = catalogue.add_listing(model, price=9)
        index.refresh()
        assert found(index, min_price=2) == [later.pk]
    go.set()
    writer.join()
    index.refresh()
    assert listing.pk in found(index, min_price=2)


def test_a_quiet_refresh_costs_one_query(model, index):
    catalogue.add_many(model, 20)
    compact(force=True)
    index.refresh()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        index.refresh()
    assert len(queries) == 1
    Listing.objects.update(price=3)
    with CaptureQueriesContext(connection) as queries:
        index.refresh()
    assert len(queries) == 2  # the feed, and the changed listings' columns


def test_the_thread_keeps_the_state_fresh_and_survives_lost_connections(model, index):
    catalogue.add_listing(model)
    index.start()
    try:
        becomes(lambda: found(index) != [])
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        listing = catalogue.add_listing(model)
        becomes(lambda: listing.pk in found(index))
    finally:
        index.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_refresher_that_died_of_a_fault_is_started_again(model, index, monkeypatch):
    refresh = index.refresh

    def fail():
        monkeypatch.setattr(index, "refresh", refresh)
        raise ValueError("something nobody thought of")

    monkeypatch.setattr(index, "refresh", fail)
    index.start()
    try:
        wait_for(lambda: not runs_thread("index-refresh"))
        listing = catalogue.add_listing(model)
        becomes(lambda: listing.pk in found(index))
    finally:
        index.stop()


def becomes(condition):
    """Wait for what is true of a state, while there may be none."""

    def is_true():
        try:
            return condition()
        except IndexNotReady:
            return False

    wait_for(is_true, seconds=5)


def test_searches_beside_refreshes_see_whole_states(model, index):
    listings = catalogue.add_many(model, 50)
    compact(force=True)
    index.start()
    becomes(lambda: len(found(index)) == 50)
    faults, stop = [], threading.Event()

    def keep_searching():
        while not stop.is_set():
            state = index.get_state()
            result = find_nearest_listings(state, QUERY, 100, Filter(statuses=("active", "sold")))
            if len(set(result.listing.tolist())) != 50 or len(result) != 50:
                faults.append(len(result))

    searchers = [threading.Thread(target=keep_searching) for _ in range(2)]
    for searcher in searchers:
        searcher.start()
    for price in range(15):
        Listing.objects.filter(pk__in=[listing.pk for listing in listings[price::3]]).update(price=price, status="sold")
        if price % 5 == 4:
            compact(force=True)
    time.sleep(0.3)
    stop.set()
    for searcher in searchers:
        searcher.join()
    index.stop()
    assert faults == []
    index.refresh()
    assert len(found(index, statuses=("sold",))) == 50


def test_the_delta_is_capped_and_says_how_far_behind_it_is(model):
    index = Index(capacity=600)
    catalogue.add_many(model, 1500)
    index.refresh()
    assert len(index.get_state().delta) <= 1100
    assert index.get_state().behind == 1500
    compact(force=True)
    index.refresh()
    assert (index.get_state().behind, index.get_state().rows) == (0, 1500)


def test_re_embedding_one_listing_for_ever_does_not_grow_memory(model):
    index = Index(capacity=50)
    listing = catalogue.add_listing(model)
    image = listing.images.get()
    for seed in range(120):
        catalogue.store_vector(image, model, catalogue.unit(seed))
        index.refresh()
    assert len(index.get_state().delta.chunks) <= 50
    assert (
        find_nearest_listings(index.get_state(), catalogue.unit(119).astype(np.float32), 1, Filter()).similarity[0]
        > 0.99
    )


def test_without_a_model_or_after_a_flush_the_reader_says_so_or_starts_again(transactional_db):
    index = Index()
    with pytest.raises(IndexNotReady, match="no embedding model is active"):
        index.refresh()
    model = catalogue.active_model()
    catalogue.add_listing(model)
    index.refresh()
    assert len(found(index)) == 1
    rebuild(new_epoch=True)
    index.refresh()
    assert len(found(index)) == 1
    assert index.get_state().snapshot_id == IndexHead.load().snapshot_id


def test_a_reader_behind_the_horizon_reloads(model, index):
    kept = catalogue.add_listing(model, price=1)
    index.refresh()
    for price in (2, 3, 4, 5):
        Listing.objects.filter(pk=kept.pk).update(price=price)
        compact(force=True)
    index.refresh()
    assert found(index, min_price=5) == [kept.pk]
    assert index.get_state().behind == 0


def test_another_models_vectors_are_not_read(model, index):
    other = EmbeddingModel.objects.create(
        version="m2", arch="fake", dim=8, checkpoint="m2", sha256="1", state="standby"
    )
    listing = catalogue.add_listing(model)
    index.refresh()
    state = index.get_state()
    catalogue.store_vector(listing.images.get(), other, catalogue.unit(1, dim=8))
    index.refresh()
    assert len(index.get_state().delta) == len(state.delta)
    assert found(index) == [listing.pk]


def test_while_a_big_change_is_taken_in_page_by_page_each_state_says_it_is_behind(model, index, monkeypatch):
    catalogue.add_many(model, 1100)
    compact(force=True)
    index.refresh()
    Listing.objects.update(price=555)
    behind = []

    def look_and_apply(*args):
        behind.append(index.health().behind)  # state() would wait for the refresh it is called from
        return apply_changes(*args)

    monkeypatch.setattr(refresher, "apply_changes", look_and_apply)
    index.refresh()
    assert behind == [0, 1100, 1100]
    assert index.get_state().behind == 0


def test_a_state_that_is_loaded_answers_while_the_head_has_none_to_offer(model, index, settings):
    listing = catalogue.add_listing(model)
    compact(force=True)
    assert found(index) == [listing.pk]
    IndexHead.objects.update(snapshot=None)
    settings.INDEX_REFRESH_MS = 0
    assert found(index) == [listing.pk]
    assert "the indexing worker builds it" in index.health().problem


def test_a_reader_that_never_refreshed_tells_no_age(index, monkeypatch):
    looking, go = threading.Event(), threading.Event()

    def wait(*args, **options):
        looking.set()
        go.wait(30)
        raise IndexNotReady("not yet")

    monkeypatch.setattr(refresher, "open_head_snapshot", wait)
    index.start()
    try:
        assert looking.wait(30)
        assert index.health().refreshed_s is None
    finally:
        go.set()
        index.stop()


def test_a_reader_whose_database_went_back_in_time_reads_again_what_happens_there(model, index, monkeypatch):
    """A backup is restored under a running process, and the same numbers are given to other changes."""
    listing = catalogue.add_listing(model, price=1)
    compact(force=True)
    index.refresh()
    ahead = "99999999999:99999999999:" if connection.vendor == "postgresql" else "99999999999"
    read = feed.read_page
    with monkeypatch.context() as before_the_restore:
        before_the_restore.setattr(feed, "read_page", lambda *args: replace(read(*args), position=ahead))
        index.refresh()
    assert index.get_state().position == ahead
    Listing.objects.filter(pk=listing.pk).update(price=7)
    index.refresh()
    assert found(index, min_price=7) == [listing.pk]
