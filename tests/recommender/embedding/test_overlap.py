"""Micro-batches are decoded, inferred and stored at the same time, and cost few queries."""

from __future__ import annotations

import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from recommender.embedding import queue, store_results, worker_loop
from recommender.models import Embedding
from tests.fakes import FakeEmbedder
from tests.recommender.queue_rows import embed, make_model, make_photos, original_of, states

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


def test_photos_are_embedded_in_micro_batches(settings):
    settings.EMBED_BATCH = 4
    make_model()
    make_photos(10)
    embedder = FakeEmbedder()
    assert embed(embedder).batches == 3
    assert embedder.batches == [1, 4, 4, 2]


def test_the_next_micro_batch_is_decoded_while_one_is_inferred(settings):
    settings.EMBED_BATCH = 2
    make_model()
    make_photos(4)
    events: list[str] = []

    class Recording(FakeEmbedder):
        def prepare(self, image):
            events.append("decoded")
            return super().prepare(image)

        def embed(self, batch):
            vectors = super().embed(batch)
            time.sleep(0.3)
            events.append(f"embedded {len(batch)}")
            return vectors

    embed(Recording())
    assert events[2:] == ["decoded", "decoded", "decoded", "decoded", "embedded 2", "embedded 2"]


def test_the_model_has_the_next_micro_batch_before_results_are_stored(settings, monkeypatch):
    settings.EMBED_BATCH = 2
    make_model()
    make_photos(6)
    events: list[str] = []
    leased: list[worker_loop.Batch] = []
    store = store_results.store

    class Known(worker_loop.Batch):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            leased.append(self)

    class Recording(FakeEmbedder):
        def embed(self, batch):
            vectors = super().embed(batch)
            following = len(self.batches) - 1  # the test picture was the first
            deadline = time.monotonic() + 30
            while 0 < following < 3 and not (len(leased) > following and leased[following].is_decoded):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            return vectors

        def submit(self, batch):
            events.append("inferred")
            return super().submit(batch)

    def recorded(lease, found):
        events.append("stored")
        return store(lease, found)

    monkeypatch.setattr(worker_loop, "Batch", Known)
    monkeypatch.setattr(store_results, "store", recorded)
    assert embed(Recording()).done == 6
    assert events == ["inferred", "inferred", "stored", "inferred", "stored", "stored"]


def test_results_do_not_wait_for_a_slow_decode(settings):
    settings.EMBED_BATCH = 2
    make_model()
    make_photos(4)
    stored: list[int] = []

    class Slow(FakeEmbedder):
        prepared = 0

        def prepare(self, image):
            self.prepared += 1
            if self.prepared > 4:  # after the test picture, the first batch and one of the second
                time.sleep(1)
                stored.append(Embedding.objects.filter(state="done").count())
                connection.close()
            return super().prepare(image)

    embed(Slow())
    assert stored == [2]


@pytest.mark.parametrize(("lease_seconds", "renewed"), [(1, True), (60, False)])
def test_leases_that_wait_for_others_are_renewed_in_time(settings, monkeypatch, lease_seconds, renewed):
    settings.EMBED_BATCH, settings.EMBED_LEASE_SECONDS = 1, lease_seconds
    make_model()
    make_photos(4)
    held: list[int] = []
    renew = queue.renew
    monkeypatch.setattr(queue, "renew", lambda lease: held.append(renew(lease)))
    assert embed(FakeEmbedder(seconds=0.3)).done == 4
    assert bool(held) is renewed
    assert all(number == 1 for number in held)


def test_trouble_with_the_next_micro_batch_loses_no_results(settings):
    settings.EMBED_BATCH = 2
    make_model()
    photos = make_photos(4)
    broken = original_of(photos[3])
    broken.unlink()
    broken.mkdir()  # reading it fails, but it is there
    assert "cannot be read" in embed(FakeEmbedder(seconds=0.3)).stopped
    assert states() == {"done": 2, "pending": 2}


def test_the_number_of_queries_does_not_grow_with_the_batch(settings):
    make_model()
    settings.EMBED_BATCH = 24
    counts = []
    for number in (2, 24):
        make_photos(number)
        worker_loop._turns.taken = 0
        with CaptureQueriesContext(connection) as queries:
            embed()
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_micro_batch_costs_a_bounded_number_of_queries(settings):
    settings.EMBED_BATCH = 4
    make_model()
    counts = []
    for number in (4, 12):
        make_photos(number)
        worker_loop._turns.taken = 0
        with CaptureQueriesContext(connection) as queries:
            embed()
        counts.append(len(queries))
    assert (counts[1] - counts[0]) / 2 <= 18, counts
