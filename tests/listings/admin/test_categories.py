import pytest
from django.urls import reverse

from listings.models import Category
from tests.factories import make_category, make_listing, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]

LIST = "/admin/listings/category/"


@pytest.fixture(autouse=True)
def _staff(client):
    client.force_login(make_user(staff=True))


def save(client, category, **fields):
    return client.post(reverse("admin:listings_category_change", args=[category.pk]), fields)


def errors(response):
    return dict(response.context["adminform"].form.errors)


def test_the_list_shows_the_tree_with_links_to_its_listings(client):
    chairs = make_category("Home / Chairs")
    page = client.get(LIST).content.decode()
    assert "Home / Chairs" in page
    assert f"/admin/listings/listing/?category__id__exact={chairs.pk}" in page
    make_listing(title="Oak chair", category="Home / Chairs")
    found = client.get(f"/admin/listings/listing/?category__id__exact={chairs.pk}")
    assert [listing.title for listing in found.context["cl"].result_list] == ["Oak chair"]


def test_a_new_parent_moves_a_category_with_everything_below_it(client):
    stools = make_category("Home / Chairs / Stools")
    garden = make_category("Garden")
    listing = make_listing(category="Home / Chairs / Stools")
    save(client, stools.parent, name="Seats", parent=garden.pk)
    stools.refresh_from_db()
    listing.refresh_from_db()
    assert stools.path == "Garden / Seats / Stools"
    assert listing.category == stools


def test_a_category_is_not_moved_below_itself(client):
    stools = make_category("Home / Chairs / Stools")
    response = save(client, stools.parent, name="Chairs", parent=stools.pk)
    assert errors(response) == {"parent": ["A category cannot be moved below itself."]}


def test_two_categories_do_not_share_a_path(client):
    make_category("Home / Chairs")
    other = make_category("Home / Stools")
    response = save(client, other, name="Chairs", parent=other.parent_id)
    assert errors(response) == {"name": ["'Home / Chairs' exists already."]}


def test_a_category_with_listings_is_not_deleted(client):
    listing = make_listing(category="Home / Chairs")
    client.post(reverse("admin:listings_category_delete", args=[listing.category_id]), {"post": "yes"})
    assert Category.objects.filter(pk=listing.category_id).exists()


def test_categories_are_suggested_by_path(client):
    make_category("Home / Chairs")
    asked = {"term": "chai", "app_label": "listings", "model_name": "listing", "field_name": "category"}
    response = client.get("/admin/autocomplete/", asked)
    assert [result["text"] for result in response.json()["results"]] == ["Home / Chairs"]
