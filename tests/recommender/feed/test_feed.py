"""Feed order: a polling reader never misses a change, whoever commits in what order (hazard: feed order)."""

import random
import threading
import time

import pytest
from django.db import connection, transaction

from listings.models import Listing
from recommender import feed
from recommender.models import IndexChange, IndexHead

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 12


class Abandon(Exception):
    """Rolls a writer's transaction back."""


@pytest.fixture
def listings(django_user_model):
    seller = django_user_model.objects.create(username="seller")
    return Listing.objects.bulk_create(Listing(seller=seller, title=f"{n}", price=0) for n in range(60))


def write(listing_ids, seed, rounds):
    """Transactions with sleeps, savepoints and rollbacks, each changing a few prices."""
    chance = random.Random(seed)
    try:
        for _ in range(rounds):
            try:
                with transaction.atomic():
                    for pk in sorted(chance.sample(listing_ids, 3)):
                        Listing.objects.filter(pk=pk).update(price=chance.randrange(1, 10**6))
                        time.sleep(chance.random() * 0.004)
                    try:
                        with transaction.atomic():
                            Listing.objects.filter(pk=listing_ids[0]).update(price=chance.randrange(10**6))
                            raise Abandon
                    except Abandon:
                        pass
                    if chance.random() < 0.2:
                        raise Abandon
            except Abandon:
                pass
    finally:
        connection.close()


def hold_open(listing_id, seconds):
    try:
        with transaction.atomic():
            Listing.objects.filter(pk=listing_id).update(price=999_999)
            time.sleep(seconds)
    finally:
        connection.close()


def test_a_polling_readers_copy_equals_the_table_under_twelve_writers_and_one_slow_transaction(listings):
    ids = [listing.pk for listing in listings]
    mine = [ids[1 + n :: WRITERS] for n in range(WRITERS)]
    # SQLite serialises writers, so a transaction held open there only delays them; PostgreSQL runs them side by side.
    postgresql = connection.vendor == "postgresql"
    writers = [threading.Thread(target=write, args=(mine[n], n, 30 if postgresql else 4)) for n in range(WRITERS)]
    writers.append(threading.Thread(target=hold_open, args=(ids[0], 5 if postgresql else 1)))
    position, copy = feed.current_position(), dict(Listing.objects.values_list("pk", "price"))
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        page = feed.read_page(position, model_id=1)
        copy.update(Listing.objects.filter(pk__in=page.listings).values_list("pk", "price"))
        position = page.position
        time.sleep(0.002)
    page = feed.read_page(position, model_id=1)
    copy.update(Listing.objects.filter(pk__in=page.listings).values_list("pk", "price"))
    assert copy == dict(Listing.objects.values_list("pk", "price"))


def test_a_read_returns_each_change_once_and_advances(listings):
    start = feed.current_position()
    Listing.objects.filter(pk=listings[0].pk).update(price=5)
    page = feed.read_page(start, model_id=1)
    assert page.attributes == {listings[0].pk}
    assert page.vectors == set()
    assert feed.read_page(page.position, model_id=1).listings == set()
    assert feed.read_page(feed.ZERO, model_id=1).listings >= {listings[0].pk}


def test_a_reader_of_one_model_skips_the_vectors_of_others(listings):
    start = feed.current_position()
    feed.append_vector_changes([listings[0].pk], 7)
    feed.append_vector_changes([listings[1].pk], 8)
    page = feed.read_page(start, model_id=7)
    assert (page.vectors, page.attributes) == ({listings[0].pk}, set())


def test_a_read_over_its_limit_does_not_move(listings):
    start = feed.current_position()
    Listing.objects.update(price=9)
    page = feed.read_page(start, model_id=1, limit=10)
    assert (page.complete, page.position, len(page.listings)) == (False, start, 11)


def test_pruning_removes_what_the_horizon_includes_and_nothing_else(listings):
    feed.prune_rows(feed.current_position())
    Listing.objects.update(price=1)
    horizon = feed.current_position()
    Listing.objects.filter(pk=listings[0].pk).update(price=2)
    assert feed.prune_rows(horizon) == len(listings)
    assert IndexChange.objects.count() == 1
    assert feed.read_page(horizon, model_id=1).listings == {listings[0].pk}


def test_positions_stay_ahead_after_everything_is_pruned(listings):
    Listing.objects.update(price=1)
    horizon = feed.current_position()
    feed.prune_rows(horizon)
    assert feed.covers_horizon(feed.current_position(), horizon)
    assert not feed.covers_horizon(feed.ZERO, horizon)


def test_a_missing_head_is_made(listings):
    IndexHead.objects.all().delete()
    assert feed.read_page(feed.ZERO, model_id=1).snapshot_id is None


@pytest.mark.parametrize(
    ("position", "horizon", "covered"),
    [
        ("5", "", True),
        ("5", "0", True),
        ("5", "5", True),
        ("6", "5", True),
        ("4", "5", False),
        ("0", "5", False),
        ("10:10:", "10:10:", True),
        ("10:12:10", "10:12:10", True),
        ("12:12:", "10:12:10", True),
        ("10:12:10", "12:12:", False),
        ("10:13:10,11", "10:13:10", False),
        ("10:13:10", "10:13:10,11", True),
        ("10:20:10,19", "10:12:10", True),
        ("10:11:10", "10:13:10,11,12", True),
        ("10:11:10", "10:13:10,12", False),
        ("0", "10:12:10", False),
    ],
)
def test_a_position_covers_a_horizon_when_it_includes_everything_pruned(position, horizon, covered):
    assert feed.covers_horizon(position, horizon) is covered


def test_a_position_of_another_history_is_ahead(listings):
    assert not feed.is_foreign_to_database(feed.current_position())
    far = "10:99999999999:10" if connection.vendor == "postgresql" else "99999999999"
    assert feed.is_foreign_to_database(far)


def test_a_position_of_the_other_kind_of_database_is_ahead(listings):
    assert feed.is_foreign_to_database("5" if connection.vendor == "postgresql" else "5:5:")


@pytest.mark.postgres_only
def test_rows_restored_from_a_server_that_was_further_on_leave_with_the_next_prune(listings):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO recommender_indexchange (listing_id, xid) VALUES (%s, '99999999999')", [1])
    position = feed.current_position()
    assert feed.read_page(position, model_id=1).listings == {1}
    feed.prune_rows(position)
    assert feed.read_page(position, model_id=1).listings == set()


def test_the_earliest_position_is_the_one_that_all_the_others_include():
    assert feed.find_earliest_position(["12", "7", "9"]) == "7"
    assert feed.find_earliest_position(["10:10:", "5:9:5,7", "12:12:"]) == "5:9:5,7"
    assert feed.find_earliest_position([]) is None


def test_positions_that_do_not_include_each_other_have_no_earliest():
    """One has not seen transaction 5, the other not 6."""
    assert feed.find_earliest_position(["5:9:5,7", "4:6:4"]) is None
