"""People have one public name, and only those whose listings anybody may open have one at all."""

import pytest
from django.contrib.auth.models import User

from tests.factories import api, make_listing

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]

NOBODY = 987_654


@pytest.fixture
def sue():
    person = User.objects.create_user("sue77", id=876_543)
    person.first_name, person.last_name, person.email = "Susan", "Stone", "sue@stone.example"
    person.save()
    return person


def read_doors(client, listing):
    """What a visitor reads of a listing's seller, on each page and in each answer that names one."""
    seller = listing.seller_id
    addresses = [listing.get_absolute_url(), f"/?seller={seller}", f"/?seller={seller}&q=chair", "/"]
    answers = [api().get(f"/api/v1/listings/{listing.pk}/"), api().get(f"/api/v1/listings/?seller={seller}")]
    return [client.get(address).content.decode() for address in addresses] + [
        answer.content.decode() for answer in answers
    ]


def test_the_user_name_is_the_public_name_everywhere_and_the_only_one(client, sue):
    listing = make_listing(sue, title="Chair")
    pages = read_doors(client, listing)
    assert ["sue77" in page for page in pages] == [True, True, True, False, True, True]
    assert not [page for page in pages for private in ("Susan", "Stone", "stone.example") if private in page]
    assert api().get(f"/api/v1/listings/{listing.pk}/").json()["seller"] == {"id": sue.pk, "name": "sue77"}


@pytest.mark.parametrize("status", [None, "draft", "removed"])
@pytest.mark.parametrize("query", ["", "&q=chair", "&status=sold"])
def test_people_without_public_listings_are_like_numbers_that_nobody_has(client, sue, status, query):
    if status:
        make_listing(sue, status=status)
    pages = [client.get(f"/?seller={number}{query}").content.decode() for number in (sue.pk, NOBODY)]
    assert pages[0].replace(str(sue.pk), "N") == pages[1].replace(str(NOBODY), "N")
    answers = [api().get(f"/api/v1/listings/?seller={number}{query}").json() for number in (sue.pk, NOBODY)]
    assert answers[0] == answers[1]


def test_a_closed_account_is_named_nowhere(client, sue):
    sue.is_active = False
    sue.save()
    listing = make_listing(sue, title="Chair")
    pages = read_doors(client, listing)
    assert not [page for page in pages if "sue77" in page]
    assert "a closed account" in pages[0]
    assert "Listings by a closed account" in pages[1]


def test_who_has_sold_everything_keeps_the_name_of_their_pages(client, sue):
    listing = make_listing(sue, status="sold")
    assert "sue77" in client.get(listing.get_absolute_url()).content.decode()
    assert "Listings by sue77" in client.get(f"/?seller={sue.pk}").content.decode()
