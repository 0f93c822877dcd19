from __future__ import annotations

import pytest
from django.db import connection

from listings.models import ListingImage
from recommender.embedding import lease_ends, queue
from recommender.embedding.queue import Lane, State, Waiting
from recommender.models import Embedding, EmbeddingModel
from tests.recommender.queue_rows import bulk_photos, make_model, states

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
        queue.list_pending_models()
        lease = queue.lease_rows(model, 3, 30)
        queue.renew_lease(lease)
        queue.release_rows(lease)
        lease_ends.requeue_or_give_up_ended_rows()
    selected = [query["sql"].split(" FROM ")[0] for query in captured if query["sql"].startswith("SELECT")]
    assert selected
    assert not [sql for sql in selected if '"vector"' in sql.replace('"vector" IS NOT NULL', "")]


def testpending_rows_are_found_through_the_partial_index():
    model = make_model()
    photos = bulk_photos(2_000)
    Embedding.objects.filter(image__lt=photos[-20].pk).update(state=State.DONE)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE recommender_embedding")
    plan = queue.pending_rows().filter(model=model, lane=Lane.IMPORT).order_by("pk")[:16].explain()
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


def test_waiting_lists_live_models_withpending_rows():
    active, retired, candidate = make_model(), make_model("standby"), make_model("candidate")
    photos = bulk_photos(2)
    lane(Lane.UPLOAD, photos[:1])
    EmbeddingModel.objects.filter(pk=retired.pk).update(state="retired")
    assert [(entry.model, entry.lanes) for entry in queue.list_pending_models()] == [
        (active, (Lane.UPLOAD, Lane.IMPORT))
    ]
    assert candidate.state == "candidate"


def test_a_hundred_thousand_imports_and_a_backfill_do_not_starve_an_upload_nor_the_backfill():
    """Hazard 17, the choice alone: an upload comes next, and every eighth micro-batch is backfill."""
    active, other = make_model(), make_model("backfilling")
    bulk_photos(2_000)
    Embedding.objects.filter(model=other).update(lane=Lane.BACKFILL)
    upload = bulk_photos(1, source="upload")[0]
    first = queue.pick_model(queue.list_pending_models(), low_priority=False)
    assert [row.image_id for row in queue.lease_rows(first, 16, 30).rows] == [upload.pk]
    assert first == active
    least = queue.pick_model(queue.list_pending_models(), low_priority=True)
    assert least == other
    assert len(queue.lease_rows(least, 16, 30, low_priority=True).rows) == 16
