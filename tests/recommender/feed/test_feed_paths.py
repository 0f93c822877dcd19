"""Every way of changing a listing reaches the index within a second (hazard: changes that write no feed row)."""

import pytest
from django.contrib.admin.sites import site
from django.db import connection
from django.test import Client

from listings.models import Category, Listing
from recommender.index import Filter, Index, find_nearest_listings
from tests.recommender.index import catalogue

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def index_root(settings, tmp_path):
    settings.INDEX_ROOT = tmp_path / "index"


def by_save(listing, user):
    listing.price = 55
    listing.save()


def by_partial_save(listing, user):
    listing.price = 55
    listing.save(update_fields=["price"])


def by_update(listing, user):
    Listing.objects.filter(pk=listing.pk).update(price=55)


def by_bulk_update(listing, user):
    listing.price = 55
    Listing.objects.bulk_update([listing], ["price"])


def by_raw_sql(listing, user):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE listings_listing SET price = 55 WHERE id = %s", [listing.pk])


@pytest.mark.parametrize("change", [by_save, by_partial_save, by_update, by_bulk_update, by_raw_sql])
def test_a_changed_price_is_answered(change, admin_user):
    model = catalogue.active_model()
    listing = catalogue.add_listing(model)
    index = Index()
    index.refresh()
    change(listing, admin_user)
    index.refresh()
    found = find_nearest_listings(
        index.get_state(), catalogue.unit(0).astype("float32"), 5, Filter(min_price=55, max_price=55)
    )
    assert found.listing.tolist() == [listing.pk]


def test_an_admin_action_is_answered(admin_user):
    model = catalogue.active_model()
    listing = catalogue.add_listing(model)
    index = Index()
    index.refresh()
    client = Client()
    client.force_login(admin_user)
    actions = [name for name in site.get_model_admin(Listing).get_actions(_request(admin_user)) if "sold" in name]
    response = client.post(
        "/admin/listings/listing/", {"action": actions[0], "_selected_action": [listing.pk], "index": 0}, follow=True
    )
    assert response.status_code == 200
    index.refresh()
    query = catalogue.unit(0).astype("float32")
    assert find_nearest_listings(index.get_state(), query, 5, Filter(statuses=("sold",))).listing.tolist() == [
        listing.pk
    ]
    assert len(find_nearest_listings(index.get_state(), query, 5, Filter())) == 0


def _request(user):
    from django.test import RequestFactory

    request = RequestFactory().get("/")
    request.user = user
    return request


def test_a_save_that_changes_nothing_searchable_writes_no_feed_row():
    from recommender import feed

    listing = catalogue.add_listing(catalogue.active_model())
    before = feed.current_position()
    listing.title = "another title"
    listing.save()
    assert feed.read_page(before, 1).listings == set()


def test_moving_a_subtree_writes_no_feed_row_and_filters_at_once():
    from recommender import feed

    home, garden = Category.objects.create(name="Home"), Category.objects.create(name="Garden")
    chairs = Category.objects.create(name="Chairs", parent=home)
    listing = catalogue.add_listing(catalogue.active_model(), category=chairs)
    before = feed.current_position()
    chairs.parent = garden
    chairs.save()
    assert feed.read_page(before, 1).listings == set()
    assert list(Category.objects.subtree("Garden").values_list("pk", flat=True)) == [garden.pk, chairs.pk]
    assert Listing.objects.get(pk=listing.pk).category.path == "Garden / Chairs"


def test_a_crash_right_after_the_save_loses_nothing_the_sweep_finds_the_photo(broker):
    from django.db.models.signals import post_save

    from listings.models import ListingImage
    from recommender.embedding.sweep import sweep_queue
    from recommender.models import Embedding

    listing = catalogue.add_listing(catalogue.active_model(), photos=0)

    def crash(**kwargs):
        raise SystemExit("killed between the commit and the doorbell")

    receivers, post_save.receivers = post_save.receivers, []
    post_save.connect(crash, sender=ListingImage)
    try:
        with pytest.raises(SystemExit):
            ListingImage.objects.create(listing=listing, sha256="0" * 64)
    finally:
        post_save.receivers = receivers
        post_save.sender_receivers_cache.clear()
    assert Embedding.objects.get(image__listing=listing).state == "pending"
    assert broker.llen("embedding") == 0
    sweep_queue()
    assert broker.llen("embedding") == 1


def test_embedding_everything_again_leaves_every_answer_as_it_was_until_workers_come_back():
    """Hazard: "embed again" or a replaced file."""
    from listings.models import ListingImage
    from recommender.embedding.queue import requeue_photos
    from recommender.index.compaction.compactor import compact
    from recommender.models import Embedding

    model = catalogue.active_model()
    catalogue.add_many(model, 30, photos=2)
    index = Index()
    query = catalogue.unit(0).astype("float32")

    def answers():
        index.refresh()
        found = find_nearest_listings(index.get_state(), query, 100, Filter())
        return found.listing.tolist(), found.similarity.tolist(), found.photos.tolist()

    before = answers()
    assert requeue_photos(ListingImage.objects.all()) == 60
    assert set(Embedding.objects.values_list("state", flat=True)) == {"pending"}
    assert answers() == before
    compact(force=True)
    assert answers()[0] == before[0]
