"""What SQLite does for a query of the loop does not grow with the number of photos that have vectors already.

It plans without statistics: one index that tells little apart, and every micro-batch reads the whole gallery.
"""

from __future__ import annotations

import pytest
from django.db import connection

from listings.models import Listing
from recommender import feed
from recommender.embedding import lease_ends, micro_batch, queue, store_results, sweep
from recommender.index import Filter
from recommender.index.view import database_rows
from recommender.models import Embedding
from recommender.search import retrieval
from tests.factories import make_user
from tests.recommender.index.catalogue import add_many
from tests.recommender.queue_rows import bulk_photos, embedded, make_model

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL plans with statistics"),
]


def steps(work) -> int:
    """Instructions of SQLite's virtual machine that `work` takes."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    connection.connection.set_progress_handler(count, 1)
    try:
        work()
    finally:
        connection.connection.set_progress_handler(None, 0)
    return taken


def store(model) -> None:
    lease = queue.lease_rows(model, 2, 30)
    store_results.settle_rows(lease, embedded(lease))


def ids(field: str, number: int = 30) -> list[int]:
    return list(Embedding.objects.order_by("pk").values_list(field, flat=True)[:number])


@pytest.mark.parametrize(
    "work",
    [
        lambda model: queue.list_pending_models(),
        lambda model: queue.is_anything_pending(),
        queue.has_leasable_rows,
        lambda model: lease_ends.requeue_or_give_up_ended_rows(),
        lambda model: queue.release_rows(queue.lease_rows(model, 2, 30)),
        lambda model: micro_batch.find_duplicates(queue.lease_rows(model, 2, 30)),
        store,
        lambda model: feed.read_page(feed.current_position(), model.pk),
        lambda model: database_rows.read_columns(model.pk, ids("image__listing_id")),
        lambda model: database_rows.read_vectors(model.pk, ids("image_id"), model.dim),
        lambda model: retrieval.load_stored_vectors(Listing.objects.earliest("pk"), model.pk),
        lambda model: retrieval.read_showable_listings(ids("image__listing_id"), retrieval.SearchRequest()),
        lambda model: retrieval.read_showable_listings(
            ids("image__listing_id"), retrieval.SearchRequest(Filter(min_price=1.0), make_user(), limit=9)
        ),
    ],
)
def test_it_costs_the_same_among_more_photos(work):
    model = make_model()
    costs = []
    for number in (40, 800):
        add_many(model, number)
        bulk_photos(8)
        costs.append(steps(lambda: work(model)))
    assert costs[1] < 1.5 * costs[0], costs


def test_deleting_what_a_retired_model_left_reads_the_table_once(monkeypatch):
    costs = []
    for page in (200, 10):
        live, retired = make_model("standby"), make_model("retired")
        add_many(live, 200)
        Embedding.objects.bulk_create(Embedding(image_id=pk, model=retired) for pk in ids("image_id", 200))
        monkeypatch.setattr(sweep, "BATCH", page)
        costs.append(steps(lambda: assert_deleted(200)))
    assert costs[1] < 3 * costs[0], costs


def assert_deleted(number: int) -> None:
    assert sweep.delete_rows_of_retired_models() == number
