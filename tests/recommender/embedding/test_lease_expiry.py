"""Leases that end: released, renewed, run out, or of rows that are queued again."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from listings.models import ListingImage
from recommender.embedding import lease_ends, queue, store_results
from recommender.embedding.queue import CRASHED, EXPIRED, Lane
from recommender.models import Embedding, EmbeddingModel, IndexChange
from tests.recommender.queue_rows import bulk_photos, embedded, expire, make_model, states

pytestmark = pytest.mark.django_db(transaction=True)


def expire_alone(model: EmbeddingModel, times: int) -> None:
    queue.lease_rows(model, 10, 30)
    expire()
    for _ in range(times):
        assert len(queue.lease_rows(model, 10, 30).rows) == 1
        expire()


def test_releasing_gives_rows_back_untried():
    model = make_model()
    bulk_photos(2)
    lease = queue.lease_rows(model, 2, 30)
    assert queue.release_rows(lease) == 2
    assert set(Embedding.objects.values_list("state", "attempts", "token", "lane")) == {("pending", 0, None, 2)}
    assert queue.release_rows(lease) == 0


def test_renewing_moves_the_end_of_the_lease_by_database_time():
    model = make_model()
    bulk_photos(1)
    lease = queue.lease_rows(model, 1, 30)
    Embedding.objects.update(leased_until=timezone.now() + timedelta(seconds=1))
    assert queue.renew_lease(lease) == 1
    left = Embedding.objects.get().leased_until - timezone.now()
    assert timedelta(seconds=25) < left < timedelta(seconds=31)


def test_a_living_lease_is_not_returned():
    model = make_model()
    bulk_photos(1)
    queue.lease_rows(model, 1, 30)
    assert lease_ends.requeue_or_give_up_ended_rows() == 0
    assert states() == {"leased": 1}


def test_expired_rows_are_retried_alone_in_the_retry_lane():
    model = make_model()
    bulk_photos(3)
    queue.lease_rows(model, 3, 30)
    expire()
    rows = set(Embedding.objects.values_list("state", "lane", "attempts", "token", "reason"))
    assert rows == {("pending", Lane.RETRY, 1, None, EXPIRED)}
    assert len(queue.lease_rows(model, 3, 30).rows) == 1


def test_a_photo_whose_lease_expires_three_times_alone_is_rejected_with_the_reason():
    model = make_model()
    photo = bulk_photos(1)[0]
    expire_alone(model, 2)
    assert states() == {"pending": 1}
    queue.lease_rows(model, 10, 30)
    expire()
    photo.refresh_from_db()
    assert (photo.state, photo.reason) == ("rejected", CRASHED)
    assert states() == {"rejected": 1}
    assert IndexChange.objects.filter(listing_id=photo.listing_id, model_id=None).exists()


def test_a_photo_that_was_decoded_before_fails_instead_of_being_rejected():
    model = make_model()
    photo = bulk_photos(1)[0]
    ListingImage.objects.update(state="ready")
    Embedding.objects.update(vector=b"\0\0")
    expire_alone(model, 3)
    photo.refresh_from_db()
    assert (photo.state, states()) == ("ready", {"failed": 1})
    assert bytes(Embedding.objects.get().vector) == b"\0\0"


def test_failures_do_not_count_towards_rejection():
    model = make_model()
    bulk_photos(1)
    Embedding.objects.update(attempts=6, reason="The uploaded file is missing.")
    queue.lease_rows(model, 1, 30)
    expire()
    assert Embedding.objects.values_list("state", "attempts").get() == ("pending", 1)


def test_embedding_again_keeps_answers_unchanged_while_workers_are_stopped():
    """Hazard 11: the vector stays until its successor is stored."""
    model = make_model()
    bulk_photos(3)
    lease = queue.lease_rows(model, 3, 30)
    store_results.settle_rows(lease, embedded(lease))
    IndexChange.objects.all().delete()
    vectors = list(Embedding.objects.order_by("pk").values_list("vector", flat=True))
    assert queue.requeue_photos(ListingImage.objects.all()) == 3
    rows = Embedding.objects.order_by("pk")
    assert set(rows.values_list("state", "lane")) == {("pending", Lane.RETRY)}
    assert list(rows.values_list("vector", flat=True)) == vectors
    assert not IndexChange.objects.exists()
    assert set(ListingImage.objects.values_list("state", flat=True)) == {"ready"}


def test_embedding_again_leaves_rows_that_are_in_work_alone():
    model = make_model()
    bulk_photos(2)
    lease = queue.lease_rows(model, 1, 30)
    assert queue.requeue_photos(ListingImage.objects.all()) == 0
    assert queue.renew_lease(lease) == 1


def test_a_foreign_token_holds_nothing():
    model = make_model()
    bulk_photos(1)
    lease = queue.lease_rows(model, 1, 30)
    forged = queue.Lease(uuid.uuid4(), lease.model_id, lease.rows, 30)
    assert (queue.renew_lease(forged), queue.release_rows(forged)) == (0, 0)
    assert store_results.settle_rows(forged, embedded(forged)).dropped == 1
