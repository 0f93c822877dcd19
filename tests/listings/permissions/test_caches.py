"""Which answers a cache on the way may keep: none to somebody who is known, none that is refused."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from listings.api.tokens import issue_token
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.django_db

PAGES = ["/", "/listings/{}/", "/my/", "/my/listings/{}/", "/sell/", "/search/photo/", "/admin/", "/nowhere/"]
CALLS = ["/api/v1/listings/", "/api/v1/listings/{}/", "/api/v1/nowhere/", "/api/schema/"]


@pytest.mark.parametrize("path", PAGES + CALLS)
def test_an_answer_to_somebody_signed_in_is_private_and_varies_by_cookie(path):
    seller = make_user(staff=True)
    client = Client()
    client.force_login(seller)
    response = client.get(path.format(make_listing(seller).pk))
    assert "private" in response["Cache-Control"]
    assert "public" not in response["Cache-Control"]
    assert "Cookie" in response["Vary"]


@pytest.mark.parametrize("path", CALLS)
def test_an_answer_to_a_token_is_private_and_every_call_varies_by_it(path):
    listing = make_listing()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {issue_token(listing.seller)}")
    known, visitor = (who.get(path.format(listing.pk)) for who in (client, APIClient()))
    assert known["Cache-Control"] == "private"
    for response in (known, visitor):
        assert {"Authorization", "Cookie"} <= {name.strip() for name in response["Vary"].split(",")}


@pytest.mark.parametrize("path", ["/", "/listings/{}/", "/api/v1/listings/", "/api/v1/listings/{}/"])
def test_a_visitors_answer_stays_as_cacheable_as_it_was_and_is_nobody_elses(path):
    response = Client().get(path.format(make_listing().pk))
    assert response.status_code == 200
    assert "Cache-Control" not in response
    assert "Cookie" in response["Vary"]


@pytest.mark.parametrize("path", ["/listings/{}/", "/api/v1/listings/{}/", "/media/clean/ab/none.jpg", "/my/%00/"])
def test_a_refusal_is_kept_by_no_cache_on_the_way(path):
    response = Client().get(path.format(make_listing(status="draft").pk))
    assert response.status_code == 404
    assert response["Cache-Control"] == "private"


def test_signing_in_and_out_is_kept_by_no_cache():
    make_user("tom", password="correct horse")
    client = Client()
    signed_in = client.post("/sign-in/", {"username": "tom", "password": "correct horse"})
    signed_out = client.post("/sign-out/")
    sent_away = Client().get("/my/")
    assert [one.status_code for one in (signed_in, signed_out, sent_away)] == [302, 302, 302]
    assert "private" in signed_in["Cache-Control"]
    assert "private" in signed_out["Cache-Control"]
    assert "Cookie" in sent_away["Vary"]
