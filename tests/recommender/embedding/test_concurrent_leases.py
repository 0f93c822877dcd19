"""Several workers at the same queue."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from listings.models import ListingImage
from recommender.embedding import queue, store_results
from recommender.models import Embedding
from tests.recommender.queue_rows import at_once, bulk_photos, embedded, make_model, states

pytestmark = pytest.mark.django_db(transaction=True)


def test_concurrent_workers_never_lease_the_same_row():
    """Hazard 13: each row is stored exactly once, by whoever held it."""
    model = make_model()
    bulk_photos(120)
    stored: list[int] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while lease := queue.lease_rows(model, 7, 30):
                if store_results.settle_rows(lease, embedded(lease)).dropped:
                    raise AssertionError("A row was leased twice.")
                stored.extend(row.pk for row in lease.rows)
        except BaseException as exc:  # noqa: BLE001 - told to the test's own thread
            errors.append(exc)
        finally:
            connection.close()

    at_once(work)
    assert errors == []
    assert sorted(stored) == sorted(Embedding.objects.values_list("pk", flat=True))
    assert states() == {"done": 120}


def test_rows_wait_while_the_same_bytes_are_embedded_by_the_same_model():
    model, other = make_model(), make_model("standby")
    first, copy, _ = bulk_photos(3)
    ListingImage.objects.filter(pk=copy.pk).update(sha256=first.sha256)
    held = queue.lease_rows(model, 1, 30)
    rest = queue.lease_rows(model, 9, 30)
    assert [row.image_id for row in held.rows] == [first.pk]
    assert copy.pk not in [row.image_id for row in rest.rows]
    assert queue.lease_rows(model, 9, 30) is None
    assert not queue.has_leasable_rows(model)
    assert len(queue.lease_rows(other, 9, 30).rows) == 3
    queue.release_rows(held)
    assert queue.has_leasable_rows(model)
    assert len(queue.lease_rows(model, 9, 30).rows) == 2


def test_two_workers_never_take_copies_at_the_same_instant():
    model = make_model()
    photos = bulk_photos(40)
    ListingImage.objects.filter(pk__in=[photo.pk for photo in photos[::2]]).update(sha256=photos[0].sha256)
    ListingImage.objects.filter(pk__in=[photo.pk for photo in photos[1::2]]).update(sha256=photos[1].sha256)
    taken: list[str] = []
    start = threading.Barrier(6)

    def work() -> None:
        connection.ensure_connection()
        start.wait()
        if lease := queue.lease_rows(model, 1, 30):
            taken.extend(row.sha256 for row in lease.rows)
        connection.close()

    at_once(work)
    assert sorted(taken) == [photos[0].sha256, photos[1].sha256]


@pytest.mark.postgres_only
def test_rows_that_another_transaction_locks_are_passed_over():
    model = make_model()
    photos = bulk_photos(4)
    leased: list[int] = []

    def other() -> None:
        leased.extend(row.image_id for row in queue.lease_rows(model, 10, 30).rows)
        connection.close()

    with transaction.atomic():
        list(Embedding.objects.select_for_update().filter(image__in=photos[:2]))
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(5)
    assert leased == [photo.pk for photo in photos[2:]]
