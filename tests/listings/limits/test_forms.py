"""Forms and REST are limited by the same counters, and a form that is refused keeps what was typed."""

import uuid

import pytest
from django.urls import reverse

from listings.models import Listing, ListingImage
from tests.factories import api, make_listing, make_user, photo_file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]

LISTINGS, SELL = "/api/v1/listings/", "/sell/"


@pytest.fixture
def seller(client):
    person = make_user()
    client.force_login(person)
    return person


def sell(client, **fields):
    return client.post(SELL, {"title": "Oak chair", "key": uuid.uuid4(), **fields})


def says_when(response):
    return response.status_code == 429 and 0 < int(response["Retry-After"]) <= 3600


def test_publishing_by_form_and_over_rest_counts_together(client, seller, rates):
    rates(publish="2/h")
    assert sell(client).status_code == 302
    assert api(seller).post(LISTINGS, {"title": "Chair"}).status_code == 201
    assert says_when(sell(client))
    assert says_when(api(seller).post(LISTINGS, {"title": "Chair"}))
    assert api(seller).get(LISTINGS).status_code == 200
    assert Listing.objects.count() == 2


@pytest.mark.usefixtures("seller")
def test_a_refused_form_keeps_what_was_typed(client, rates):
    rates(publish="1/h")
    sell(client)
    key = uuid.uuid4()
    response = sell(client, title="A brass lamp", description="Hardly used.", key=key)
    page = response.content.decode()
    assert says_when(response)
    assert "That was very often. Wait " in page
    assert "Nothing was saved." in page
    for typed in ('value="A brass lamp"', "Hardly used.", f'value="{key}"'):
        assert typed in page
    script = client.post(SELL, {"title": "Lamp", "key": key}, headers={"Accept": "application/json"})
    assert says_when(script)


def test_photos_by_forms_and_over_rest_count_together(client, seller, rates):
    rates(upload="1/h")
    listing = make_listing(seller, title="Chair")
    edit, add = (reverse(name, args=[listing.pk]) for name in ("my-listing", "add-photos"))
    assert client.post(add, {"photos": photo_file(1)}).status_code == 200
    assert says_when(client.post(add, {"photos": photo_file(2)}))
    refused = client.post(edit, {"title": "Oak chair", "photos": photo_file(3)})
    assert says_when(refused)
    assert 'value="Oak chair"' in refused.content.decode()
    assert says_when(sell(client, photos=photo_file(4)))
    assert says_when(api(seller).post(f"{LISTINGS}{listing.pk}/images/", {"images": photo_file(5)}, format="multipart"))
    assert ListingImage.objects.count() == 1
    assert client.post(edit, {"title": "Oak chair"}).status_code == 302


def test_the_page_of_search_by_photo_says_when_to_go_on(client, rates):
    rates(search="1/h")
    client.post("/search/photo/")
    assert says_when(client.post("/search/photo/", {"image": photo_file(1)}))
