"""Sellers take turns: whoever has few photos waiting does not wait for those of whoever has many."""

from __future__ import annotations

from collections import Counter

import pytest

from listings.models import Listing, ListingImage
from recommender.embedding import queue, sweep
from recommender.embedding.queue import UPLOADS_OF_A_SELLER, Lane, Turn
from recommender.models import Embedding
from tests.factories import make_listing, make_user
from tests.recommender.queue_rows import make_model

pytestmark = pytest.mark.django_db(transaction=True)


def save_photos(number: int, *, source: str = "upload") -> Listing:
    """Photos without files of somebody else."""
    listing = make_listing(seller=make_user())
    ListingImage.objects.bulk_create(
        ListingImage(listing=listing, original="none", sha256=f"{listing.pk}-{one}", source=source)
        for one in range(number)
    )
    return listing


def lease_and_count(model, limit: int, turn: Turn = queue.FIRST_TURN) -> tuple[Counter[int], Turn]:
    """How many rows of each seller were leased, and the turn after it."""
    lease = queue.lease_rows(model, limit, 30, turn=turn)
    return Counter(row.seller_id for row in lease.rows), Turn(None, lease.last_seller)


@pytest.mark.parametrize("source", ["upload", "import"])
def test_a_photo_saved_after_four_hundred_of_another_seller_is_in_the_next_micro_batch(source):
    model = make_model()
    many = save_photos(400, source=source)
    turn = lease_and_count(model, 8)[1]
    one = save_photos(1, source=source)
    assert lease_and_count(model, 8, turn)[0] == {one.seller_id: 1, many.seller_id: 7}


def test_each_of_many_sellers_has_a_photo_before_any_has_two():
    model = make_model()
    sellers = [save_photos(number).seller_id for number in (5, 1, 30, 2)]
    taken, turn = lease_and_count(model, 4)
    assert taken == dict.fromkeys(sellers, 1)
    assert lease_and_count(model, 8, turn)[0] == {sellers[0]: 4, sellers[2]: 3, sellers[3]: 1}


def test_no_seller_is_passed_over_when_there_are_more_than_a_lease_looks_at():
    model = make_model()
    sellers = {save_photos(12).seller_id for _ in range(queue.LOOKS + 4)}
    turn = queue.FIRST_TURN
    served: Counter[int] = Counter()
    for _ in range(2):
        taken, turn = lease_and_count(model, 8, turn)
        served += taken
    assert set(served) == sellers


def test_uploads_of_one_seller_leave_room_for_who_comes_next_and_imports_fill_the_micro_batch():
    model = make_model()
    save_photos(40)
    assert sum(lease_and_count(model, 64)[0].values()) == UPLOADS_OF_A_SELLER
    Embedding.objects.filter(state="pending").delete()
    save_photos(40, source="import")
    assert sum(lease_and_count(model, 64)[0].values()) == 40


def test_a_seller_keeps_the_order_of_the_own_photos():
    model = make_model()
    save_photos(6)
    rows = queue.lease_rows(model, 3, 30).rows + queue.lease_rows(model, 3, 30).rows
    assert [row.pk for row in rows] == sorted(row.pk for row in rows)


def test_rows_that_the_sweep_queues_again_know_their_seller():
    model = make_model()
    listing = save_photos(1)
    Embedding.objects.all().delete()
    sweep.insert_missing_rows(model)
    assert Embedding.objects.values_list("seller_id", "lane").get() == (listing.seller_id, Lane.UPLOAD)


def test_a_million_rows_of_one_seller_cost_no_more_than_a_page(django_assert_max_num_queries):
    model = make_model()
    turn = Turn(None, save_photos(600).seller_id)
    with django_assert_max_num_queries(12):
        lease_and_count(model, 8, turn)
