from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from listings.models import ListingImage
from recommender.embedding import queue, store_results
from recommender.embedding.queue import CRASHED, EXPIRED, Lane, State, Waiting
from recommender.models import Embedding, EmbeddingModel, IndexChange
from tests.recommender.queue_rows import at_once, bulk_photos, embedded, expire, make_model, states

pytestmark = pytest.mark.django_db(transaction=True)


def lane(number: int, rows: list[ListingImage]) -> None:
    Embedding.objects.filter(image__in=rows).update(lane=number)


def test_a_lease_takes_rows_of_the_best_lane_only():
    model = make_model()
    photos = bulk_photos(6)
    lane(Lane.UPLOAD, photos[4:])
    lease = queue.lease_rows(model, 10, 30)
    assert [row.image_id for row in lease.rows] == [photo.pk for photo in photos[4:]]
    assert states() == {"leased": 2, "pending": 4}


def test_a_low_priority_lease_takes_rows_of_the_worst_lane():
    model = make_model()
    photos = bulk_photos(3)
    lane(Lane.UPLOAD, photos[:2])
    assert [row.image_id for row in queue.lease_rows(model, 10, 30, low_priority=True).rows] == [photos[2].pk]


def test_a_lease_carries_what_decoding_needs():
    model = make_model()
    photo = bulk_photos(1)[0]
    ListingImage.objects.update(clean_file="clean/a.jpg", state="ready")
    row = queue.lease_rows(model, 1, 30).rows[0]
    assert (row.image_id, row.listing_id, row.sha256) == (photo.pk, photo.listing_id, photo.sha256)
    assert (row.original, row.clean, row.ready) == ("none/0.jpg", "clean/a.jpg", True)
    assert (row.has_vector, row.attempts) == (False, 0)


def test_nothing_pending_gives_no_lease():
    assert queue.lease_rows(make_model(), 10, 30) is None


def test_leased_rows_are_not_leased_again():
    model = make_model()
    bulk_photos(5)
    first, second = queue.lease_rows(model, 3, 30), queue.lease_rows(model, 3, 30)
    assert {row.pk for row in first.rows}.isdisjoint(row.pk for row in second.rows)
    assert queue.lease_rows(model, 3, 30) is None


def test_rows_tried_before_are_leased_alone_after_fresh_ones():
    model = make_model()
    bulk_photos(4)
    tried = list(Embedding.objects.order_by("pk").values_list("pk", flat=True)[:2])
    Embedding.objects.filter(pk__in=tried).update(attempts=1)
    sizes = [[row.attempts for row in queue.lease_rows(model, 10, 30).rows] for _ in range(3)]
    assert sizes == [[0, 0], [1], [1]]


def test_a_row_tried_before_is_not_leased_with_others_in_flight():
    model = make_model()
    bulk_photos(2)
    tried = Embedding.objects.order_by("pk").first()
    Embedding.objects.filter(pk=tried.pk).update(attempts=1, lane=Lane.RETRY)
    assert queue.lease_rows(model, 10, 30, others_in_flight=True) is None
    assert [row.pk for row in queue.lease_rows(model, 10, 30).rows] == [tried.pk]
    assert queue.lease_rows(model, 10, 30, others_in_flight=True) is not None


def test_queue_queries_never_read_the_vector_column(django_assert_num_queries):
    model = make_model()
    bulk_photos(3)
    with django_assert_num_queries(99, exact=False) as captured:
        queue.list_waiting()
        lease = queue.lease_rows(model, 3, 30)
        queue.renew_lease(lease)
        queue.release_rows(lease)
        queue.return_expired()
    selected = [query["sql"].split(" FROM ")[0] for query in captured if query["sql"].startswith("SELECT")]
    assert selected
    assert not [sql for sql in selected if '"vector"' in sql.replace('"vector" IS NOT NULL', "")]


def test_pending_rows_are_found_through_the_partial_index():
    model = make_model()
    photos = bulk_photos(2_000)
    Embedding.objects.filter(image__lt=photos[-20].pk).update(state=State.DONE)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE recommender_embedding")
    plan = queue._pending_rows().filter(model=model, lane=Lane.IMPORT).order_by("pk")[:16].explain()
    assert "embedding_pending" in plan


@pytest.mark.parametrize(
    ("entries", "low_priority", "expected"),
    [
        ([("active", (0,)), ("backfilling", (3,))], False, "active"),
        ([("active", (2,)), ("backfilling", (0, 3))], False, "backfilling"),
        ([("standby", (0,)), ("active", (0,))], False, "active"),
        ([("backfilling", (2,)), ("standby", (2,))], False, "backfilling"),
        ([("active", (0, 2)), ("backfilling", (3,))], True, "backfilling"),
        ([("active", (0, 3)), ("backfilling", (0,))], True, "active"),
        ([("active", (2,)), ("standby", (2,))], True, "standby"),
    ],
)
def test_the_next_model_is_the_most_urgent_or_with_low_priority_the_least(entries, low_priority, expected):
    waiting = [Waiting(EmbeddingModel(version=state, state=state), lanes) for state, lanes in entries]
    assert queue.pick_model(waiting, low_priority=low_priority).state == expected


def test_waiting_lists_live_models_with_pending_rows():
    active, retired, candidate = make_model(), make_model("standby"), make_model("candidate")
    photos = bulk_photos(2)
    lane(Lane.UPLOAD, photos[:1])
    EmbeddingModel.objects.filter(pk=retired.pk).update(state="retired")
    assert [(entry.model, entry.lanes) for entry in queue.list_waiting()] == [(active, (Lane.UPLOAD, Lane.IMPORT))]
    assert candidate.state == "candidate"


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
    assert queue.return_expired() == 0
    assert states() == {"leased": 1}


def test_expired_rows_are_retried_alone_in_the_retry_lane():
    model = make_model()
    bulk_photos(3)
    queue.lease_rows(model, 3, 30)
    expire()
    rows = set(Embedding.objects.values_list("state", "lane", "attempts", "token", "reason"))
    assert rows == {("pending", Lane.RETRY, 1, None, EXPIRED)}
    assert len(queue.lease_rows(model, 3, 30).rows) == 1


def expire_alone(model: EmbeddingModel, times: int) -> None:
    queue.lease_rows(model, 10, 30)
    expire()
    for _ in range(times):
        assert len(queue.lease_rows(model, 10, 30).rows) == 1
        expire()


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
    assert queue.embed_again(ListingImage.objects.all()) == 3
    rows = Embedding.objects.order_by("pk")
    assert set(rows.values_list("state", "lane")) == {("pending", Lane.RETRY)}
    assert list(rows.values_list("vector", flat=True)) == vectors
    assert not IndexChange.objects.exists()
    assert set(ListingImage.objects.values_list("state", flat=True)) == {"ready"}


def test_embedding_again_leaves_rows_that_are_in_work_alone():
    model = make_model()
    bulk_photos(2)
    lease = queue.lease_rows(model, 1, 30)
    assert queue.embed_again(ListingImage.objects.all()) == 0
    assert queue.renew_lease(lease) == 1


def test_a_hundred_thousand_imports_and_a_backfill_do_not_starve_an_upload_nor_the_backfill():
    """Hazard 17, the choice alone: an upload comes next, and every eighth micro-batch is backfill."""
    active, other = make_model(), make_model("backfilling")
    bulk_photos(2_000)
    Embedding.objects.filter(model=other).update(lane=Lane.BACKFILL)
    upload = bulk_photos(1, source="upload")[0]
    first = queue.pick_model(queue.list_waiting(), low_priority=False)
    assert [row.image_id for row in queue.lease_rows(first, 16, 30).rows] == [upload.pk]
    assert first == active
    least = queue.pick_model(queue.list_waiting(), low_priority=True)
    assert least == other
    assert len(queue.lease_rows(least, 16, 30, low_priority=True).rows) == 16


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
    assert not queue.is_leasable(model)
    assert len(queue.lease_rows(other, 9, 30).rows) == 3
    queue.release_rows(held)
    assert queue.is_leasable(model)
    assert len(queue.lease_rows(model, 9, 30).rows) == 2


def test_two_workers_never_take_copies_at_the_same_instant():
    model = make_model()
    photos = bulk_photos(40)
    ListingImage.objects.filter(pk__in=[photo.pk for photo in photos[::2]]).update(sha256=photos[0].sha256)
    ListingImage.objects.filter(pk__in=[photo.pk for photo in photos[1::2]]).update(sha256=photos[1].sha256)
    start, taken = threading.Barrier(6), []

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


def test_a_foreign_token_holds_nothing():
    model = make_model()
    bulk_photos(1)
    lease = queue.lease_rows(model, 1, 30)
    forged = queue.Lease(uuid.uuid4(), lease.model_id, lease.rows, 30)
    assert (queue.renew_lease(forged), queue.release_rows(forged)) == (0, 0)
    assert store_results.settle_rows(forged, embedded(forged)).dropped == 1
