"""Micro-batches are decoded, inferred and stored at the same time, and cost few queries."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from recommender.models import Embedding
from tests.fakes import FakeEmbedder
from tests.recommender.queue_rows import embed, loop_with, make_model, make_photos, original_of, states

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


def test_photos_are_embedded_in_micro_batches(settings):
    settings.EMBED_BATCH = 4
    make_model()
    make_photos(10)
    embedder = FakeEmbedder()
    assert embed(embedder).batches == 3
    assert embedder.batches == [1, 4, 4, 2]


class WaitingEmbedder(FakeEmbedder):
    """Computes its first micro-batch only after so many photos were decoded, which takes both at the same time."""

    def __init__(self, photos: int) -> None:
        super().__init__()
        self._tasks = threading.Semaphore(0)
        self._photos = photos + 1  # the drawn test picture is the first

    def prepare(self, image):
        self._tasks.release()
        return super().prepare(image)

    def embed(self, batch):
        if len(self.batches) == 1:
            decoded = [self._tasks.acquire(timeout=30) for _ in range(self._photos)]
            assert all(decoded), "The photos of the next micro-batch were not decoded meanwhile."
        return super().embed(batch)


def test_the_next_micro_batch_is_decoded_while_one_is_inferred(settings):
    settings.EMBED_BATCH = 2
    make_model()
    make_photos(4)
    embedder = WaitingEmbedder(4)
    assert embed(embedder).done == 4
    assert embedder.batches == [1, 2, 2]


def test_the_model_has_the_next_micro_batch_before_results_are_stored(settings):
    settings.EMBED_BATCH = 2
    make_model()
    make_photos(6)
    stored: list[int] = []

    class Recording(WaitingEmbedder):
        def submit(self, batch):
            stored.append(Embedding.objects.filter(state="done").count())
            return super().submit(batch)

    assert embed(Recording(6)).done == 6
    assert stored[:2] == [0, 0]
    assert stored[2] >= 2


def test_results_do_not_wait_for_a_slow_decode(settings):
    settings.EMBED_BATCH = 2
    make_model()
    make_photos(4)
    seen: list[bool] = []

    class Slow(FakeEmbedder):
        prepared = 0

        def prepare(self, image):
            self.prepared += 1
            if self.prepared > 4:  # after the test picture, the first batch and one of the second
                seen.append(comes_true(lambda: Embedding.objects.filter(state="done").count() == 2))
                connection.close()
            return super().prepare(image)

    assert embed(Slow()).done == 4
    assert seen == [True]


def comes_true(condition, seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < until:
        time.sleep(0.01)
    return met


@pytest.mark.parametrize(("lease_seconds", "renewed"), [(1, True), (60, False)])
def test_leases_that_wait_for_others_are_renewed_in_time(settings, lease_seconds, renewed):
    settings.EMBED_BATCH, settings.EMBED_LEASE_SECONDS = 1, lease_seconds
    make_model()
    make_photos(4)
    ends: dict[int, set] = defaultdict(set)

    class Looking(FakeEmbedder):
        def embed(self, batch):
            vectors = super().embed(batch)
            for pk, end in Embedding.objects.filter(state="leased").values_list("pk", "leased_until"):
                ends[pk].add(end)
            connection.close()
            return vectors

    tally = embed(Looking(seconds=0.3))
    assert (tally.done, tally.dropped) == (4, 0)
    assert any(len(seen) > 1 for seen in ends.values()) is renewed


def test_each_photo_of_a_micro_batch_has_the_time_of_a_lease_to_itself(settings):
    settings.EMBED_BATCH, settings.EMBED_LEASE_SECONDS, settings.EMBED_THREADS = 4, 1, 1
    make_model()
    make_photos(4)
    left: list[float] = []
    watched: list[object] = []

    class Slow(FakeEmbedder):
        def prepare(self, image):
            time.sleep(0.4)
            end = Embedding.objects.filter(state="leased").values_list("leased_until", flat=True).first()
            connection.close()
            if end:
                left.append((end - timezone.now()).total_seconds())
                watched.append(loop.activity.current_limit_and_photos)
            return super().prepare(image)

    loop = loop_with(Slow())
    assert loop.run_slice(30).done == 4
    assert min(left) > 0  # 1.6 seconds in all
    assert len({id(one) for one in watched}) > 1  # what the watchdog measures begins anew


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
    for number in (2, 16):
        make_photos(number)
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
        with CaptureQueriesContext(connection) as queries:
            embed()
        counts.append(len(queries))
    assert (counts[1] - counts[0]) / 2 <= 19, counts
