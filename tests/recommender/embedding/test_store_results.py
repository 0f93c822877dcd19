"""What an embedding result writes."""

from __future__ import annotations

import numpy as np
import pytest

from listings.models import ListingImage
from recommender.embedding import queue, store_results
from recommender.embedding.store_results import BAD_VECTOR, Embedded, Failed, Refused
from recommender.models import Embedding, IndexChange
from tests.recommender.queue_rows import bulk_photos, embedded, expire, make_model, states, vector

pytestmark = pytest.mark.django_db(transaction=True)


def test_storing_writes_float16_marks_done_and_feeds_the_listing():
    model = make_model()
    photo = bulk_photos(1)[0]
    lease = queue.lease_rows(model, 1, 30)
    IndexChange.objects.all().delete()
    stored = store_results.settle_rows(lease, embedded(lease))
    row = Embedding.objects.get()
    assert (stored.done, row.state, row.token, row.leased_until, row.attempts) == (1, "done", None, None, 0)
    assert np.frombuffer(row.vector, np.float16).tolist() == vector().tolist()
    assert (photo.listing_id, model.pk) in set(IndexChange.objects.values_list("listing_id", "model_id"))
    photo.refresh_from_db()
    assert photo.state == "ready"


def test_backfill_of_another_model_feeds_only_its_own_rows():
    """Hazard 5: the active delta stays empty."""
    active, other = make_model(), make_model("backfilling")
    bulk_photos(20)
    ListingImage.objects.update(state="ready")
    IndexChange.objects.all().delete()
    lease = queue.lease_rows(other, 20, 30)
    store_results.settle_rows(lease, embedded(lease))
    assert set(IndexChange.objects.values_list("model_id", flat=True)) == {other.pk}
    assert not IndexChange.objects.filter(model_id=active.pk).exists()


def test_the_same_vector_again_appends_nothing_to_the_feed():
    model = make_model()
    bulk_photos(2)
    lease = queue.lease_rows(model, 2, 30)
    store_results.settle_rows(lease, embedded(lease))
    IndexChange.objects.all().delete()
    queue.requeue_photos(ListingImage.objects.all())
    lease = queue.lease_rows(model, 2, 30)
    store_results.settle_rows(lease, embedded(lease))
    assert (states(), IndexChange.objects.count()) == ({"done": 2}, 0)


def test_a_changed_vector_appends_its_listing_once():
    model = make_model()
    bulk_photos(2)
    lease = queue.lease_rows(model, 2, 30)
    store_results.settle_rows(lease, embedded(lease))
    IndexChange.objects.all().delete()
    queue.requeue_photos(ListingImage.objects.all())
    lease = queue.lease_rows(model, 2, 30)
    store_results.settle_rows(lease, [Embedded(row, vector(at=1)) for row in lease.rows])
    assert list(IndexChange.objects.values_list("model_id", flat=True)) == [model.pk]


@pytest.mark.parametrize(
    "bad", [np.full(48, np.nan, np.float32), np.zeros(48, np.float32), np.full(48, np.inf, np.float32)]
)
def test_nan_and_zero_vectors_fail_and_are_never_stored(bad):
    model = make_model()
    photo = bulk_photos(1)[0]
    lease = queue.lease_rows(model, 1, 30)
    stored = store_results.settle_rows(lease, [Embedded(lease.rows[0], bad)])
    assert (stored.failed, stored.done) == (1, 0)
    assert Embedding.objects.values_list("state", "vector", "attempts", "reason").get() == (
        "failed",
        None,
        1,
        BAD_VECTOR,
    )
    photo.refresh_from_db()
    assert photo.state == "new"


def test_a_refused_photo_is_rejected_with_its_reason_and_feeds_its_listing():
    model = make_model()
    photo = bulk_photos(1)[0]
    Embedding.objects.update(vector=b"\0\0")
    lease = queue.lease_rows(model, 1, 30)
    store_results.settle_rows(lease, [Refused(lease.rows[0], "The file is not a photo.")])
    photo.refresh_from_db()
    assert (photo.state, photo.reason) == ("rejected", "The file is not a photo.")
    assert Embedding.objects.values_list("state", "vector", "reason").get() == (
        "rejected",
        None,
        "The file is not a photo.",
    )
    assert IndexChange.objects.filter(listing_id=photo.listing_id, model_id=None).exists()


def test_one_rejected_photo_leaves_its_batch_alone():
    model = make_model()
    bulk_photos(3)
    lease = queue.lease_rows(model, 3, 30)
    first, *others = lease.rows
    stored = store_results.settle_rows(lease, [Refused(first, "x"), *(Embedded(row, vector()) for row in others)])
    assert (stored.rejected, stored.done, states()) == (1, 2, {"rejected": 1, "done": 2})


def test_failures_are_counted_and_keep_the_vector():
    model = make_model()
    bulk_photos(1)
    Embedding.objects.update(vector=b"\0\0")
    lease = queue.lease_rows(model, 1, 30)
    store_results.settle_rows(lease, [Failed(lease.rows[0], "gone")])
    row = Embedding.objects.get()
    assert (row.state, row.attempts, row.reason, bytes(row.vector)) == ("failed", 1, "gone", b"\0\0")


def test_results_of_a_lost_lease_change_nothing():
    model = make_model()
    bulk_photos(2)
    lost = queue.lease_rows(model, 2, 30)
    expire()
    before = list(Embedding.objects.order_by("pk").values())
    changes = IndexChange.objects.count()
    stored = store_results.settle_rows(lost, embedded(lost))
    assert stored.dropped == 2
    assert list(Embedding.objects.order_by("pk").values()) == before
    assert IndexChange.objects.count() == changes
    assert set(ListingImage.objects.values_list("state", flat=True)) == {"new"}


def test_a_deleted_photo_does_not_keep_its_batch_from_being_stored():
    model = make_model()
    photos = bulk_photos(3)
    lease = queue.lease_rows(model, 3, 30)
    photos[1].delete()
    stored = store_results.settle_rows(lease, embedded(lease))
    assert (stored.done, stored.dropped, states()) == (2, 1, {"done": 2})


def test_a_photo_that_moved_while_it_was_leased_is_announced_where_it_is_now():
    model = make_model()
    (photo,) = bulk_photos(1)
    ListingImage.objects.update(state="ready")
    lease = queue.lease_rows(model, 10, 30)
    other = bulk_photos(1)[0].listing
    ListingImage.objects.filter(pk=photo.pk).update(listing=other)
    IndexChange.objects.all().delete()
    store_results.settle_rows(lease, embedded(lease))
    assert list(IndexChange.objects.filter(model_id=model.pk).values_list("listing_id", flat=True)) == [other.pk]
