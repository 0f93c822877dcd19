"""The database itself writes queue and feed rows (hazard: changes that write no feed row)."""

import pytest
from django.db import connection
from django.db.migrations.state import ProjectState

from listings.models import Listing, ListingImage
from recommender import feed
from recommender.listing_triggers import watch_listings
from recommender.models import Embedding, EmbeddingModel
from tests.recommender.index import catalogue
from tests.recommender.watched_columns import unwatched_columns, watched_columns

pytestmark = pytest.mark.django_db(transaction=True)

LISTING_COLUMNS = ("seller_id", "price", "category_id", "latitude", "longitude", "status", "created_at")
TRIGGERS = {"listing_update", "listing_delete", "photo_update", "photo_delete", "photo_insert"}


@pytest.fixture
def listing(django_user_model):
    return Listing.objects.create(seller=django_user_model.objects.create(username="seller"), title="a thing")


def test_every_trigger_is_there_after_all_migrations():
    sql = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    if connection.vendor == "postgresql":
        sql = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    with connection.cursor() as cursor:
        cursor.execute(sql)
        names = {name.removeprefix("recommender_") for (name,) in cursor.fetchall()}
    assert names >= TRIGGERS


def test_a_trigger_watches_every_column_that_can_be_filtered_by():
    missing = unwatched_columns()
    assert not missing, f"no trigger watches {missing}: see recommender/listing_triggers.py"


def test_a_migration_watches_other_columns_and_backwards_those_before_and_deletions_all_the_time(listing):
    operation, state = watch_listings(("title",), before=LISTING_COLUMNS), ProjectState()
    for turn, columns, feeds in (("forwards", ("title",), True), ("backwards", LISTING_COLUMNS, False)):
        with connection.schema_editor() as editor:
            getattr(operation, f"database_{turn}")("recommender", editor, state, state)
        assert watched_columns() == set(columns)
        before = feed.current_position()
        Listing.objects.filter(pk=listing.pk).update(title=turn)
        assert feed.read_page(before, model_id=1).attributes == ({listing.pk} if feeds else set())
    before, pk = feed.current_position(), listing.pk
    listing.delete()
    assert feed.read_page(before, model_id=1).attributes == {pk}


@pytest.mark.parametrize(("source", "lane"), [("upload", Embedding.Lane.UPLOAD), ("import", Embedding.Lane.IMPORT)])
def test_a_photo_inserted_in_bulk_is_queued_for_every_live_model(listing, source, lane):
    live = [
        EmbeddingModel.objects.create(version=state, arch="fake", dim=4, checkpoint=state, sha256="0", state=state)
        for state in EmbeddingModel.LIVE
    ]
    EmbeddingModel.objects.create(version="old", arch="fake", dim=4, checkpoint="old", sha256="0", state="retired")
    ListingImage.objects.bulk_create([ListingImage(listing=listing, sha256="0" * 64, source=source)])
    rows = Embedding.objects.values_list("model_id", "state", "lane")
    assert sorted(rows) == sorted((model.pk, "pending", lane) for model in live)


def test_a_rejected_photo_is_not_queued(listing):
    catalogue.active_model()
    ListingImage.objects.create(listing=listing, sha256="0" * 64, state="rejected")
    assert not Embedding.objects.exists()


@pytest.mark.parametrize(
    ("sql", "feeds"),
    [
        ("UPDATE listings_listing SET price = 3", True),
        ("UPDATE listings_listing SET price = price", False),
        ("UPDATE listings_listing SET title = 'other', description = 'other', location = 'other'", False),
        ("UPDATE listings_listing SET status = 'sold'", True),
        ("UPDATE listings_listing SET latitude = 1, longitude = 1", True),
        ("UPDATE listings_listingimage SET state = 'rejected'", True),
        ("UPDATE listings_listingimage SET position = 4", False),
        ("DELETE FROM listings_listingimage", True),
    ],
)
def test_raw_sql_feeds_what_is_searchable_and_nothing_else(listing, sql, feeds):
    ListingImage.objects.create(listing=listing, sha256="0" * 64)
    before = feed.current_position()
    with connection.cursor() as cursor:
        cursor.execute(sql)
    assert feed.read_page(before, model_id=1).attributes == ({listing.pk} if feeds else set())


def test_a_photo_moved_to_another_listing_feeds_both(listing):
    other = Listing.objects.create(seller=listing.seller, title="another thing")
    image = ListingImage.objects.create(listing=listing, sha256="0" * 64)
    before = feed.current_position()
    ListingImage.objects.filter(pk=image.pk).update(listing=other)
    assert feed.read_page(before, model_id=1).attributes == {listing.pk, other.pk}
