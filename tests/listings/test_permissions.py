"""Every permission cell of the site in one table: who, on what, in which state, with which verb."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory
from rest_framework.test import APIClient

from listings.models import Listing
from listings.permissions import MayChangeListing
from tests.factories import api, make_image, make_listing, make_ready_image, make_user, photo_file

PEOPLE = ("visitor", "owner", "another seller", "staff")
ALLOWED = frozenset({200, 409, 503})  # 409 and 503: allowed, but no photo, model or index is there to answer with

API = "/api/v1/"
LISTING = API + "listings/{listing}/"
PHOTOS = LISTING + "images/"
PHOTO = PHOTOS + "{image}/"
SIMILAR = LISTING + "similar/"

# endpoint, verb, path, state of the listing → visitor, owner, another seller, staff
TABLE = [
    ("list", "get", API + "listings/", "active", 200, 200, 200, 200),
    ("list", "post", API + "listings/", "active", 401, 201, 201, 201),
    ("list", "delete", API + "listings/", "active", 401, 405, 405, 405),
    ("detail", "get", LISTING, "draft", 404, 200, 404, 200),
    ("detail", "get", LISTING, "active", 200, 200, 200, 200),
    ("detail", "get", LISTING, "sold", 200, 200, 200, 200),
    ("detail", "get", LISTING, "removed", 404, 404, 404, 200),
    ("detail", "patch", LISTING, "draft", 401, 200, 404, 200),
    ("detail", "patch", LISTING, "active", 401, 200, 403, 200),
    ("detail", "patch", LISTING, "sold", 401, 200, 403, 200),
    ("detail", "patch", LISTING, "removed", 401, 404, 404, 200),
    ("detail", "put", LISTING, "active", 401, 405, 405, 405),
    ("detail", "post", LISTING, "active", 401, 405, 405, 405),
    ("detail", "delete", LISTING, "draft", 401, 204, 404, 204),
    ("detail", "delete", LISTING, "active", 401, 204, 403, 204),
    ("detail", "delete", LISTING, "sold", 401, 204, 403, 204),
    ("detail", "delete", LISTING, "removed", 401, 404, 404, 204),
    ("similar", "get", SIMILAR, "draft", 404, ALLOWED, 404, ALLOWED),
    ("similar", "get", SIMILAR, "active", ALLOWED, ALLOWED, ALLOWED, ALLOWED),
    ("similar", "get", SIMILAR, "sold", ALLOWED, ALLOWED, ALLOWED, ALLOWED),
    ("similar", "get", SIMILAR, "removed", 404, 404, 404, ALLOWED),
    ("similar", "post", SIMILAR, "active", {401, 405}, 405, 405, 405),
    ("photos", "get", PHOTOS, "active", 401, 405, 405, 405),
    ("photos", "post", PHOTOS, "draft", 401, 201, 404, 201),
    ("photos", "post", PHOTOS, "active", 401, 201, 403, 201),
    ("photos", "post", PHOTOS, "sold", 401, 201, 403, 201),
    ("photos", "post", PHOTOS, "removed", 401, 404, 404, 404),
    ("photo", "get", PHOTO, "active", 401, 405, 405, 405),
    ("photo", "delete", PHOTO, "draft", 401, 204, 404, 204),
    ("photo", "delete", PHOTO, "active", 401, 204, 403, 204),
    ("photo", "delete", PHOTO, "sold", 401, 204, 403, 204),
    ("photo", "delete", PHOTO, "removed", 401, 404, 404, 204),
    ("search", "post", API + "search/image/", "active", ALLOWED, ALLOWED, ALLOWED, ALLOWED),
    ("search", "get", API + "search/image/", "active", 405, 405, 405, 405),
    ("embeddings", "post", API + "embeddings/", "active", 401, 403, 403, ALLOWED),
    ("embeddings", "get", API + "embeddings/", "active", 401, 403, 403, 405),
    ("token", "post", API + "token/", "active", 200, 200, 200, 200),
    ("token", "get", API + "token/", "active", 405, 405, 405, 405),
    ("schema", "get", "/api/schema/", "active", 200, 200, 200, 200),
    ("docs", "get", "/api/docs/", "active", 200, 200, 200, 200),
    ("admin", "get", "/admin/", "active", 302, 302, 302, 200),
    ("admin", "get", "/admin/listings/listing/", "active", 302, 302, 302, 200),
    ("admin", "get", "/admin/listings/listing/{listing}/change/", "removed", 302, 302, 302, 200),
    ("admin", "post", "/admin/listings/listing/{listing}/delete/", "active", 302, 302, 302, {200, 403}),
    ("admin", "get", "/admin/recommender/embeddingmodel/", "active", 302, 302, 302, 200),
    ("original", "get", "/originals/{image}/", "active", 302, 403, 403, 200),
    ("derivative", "get", "{thumb}", "active", 200, 200, 200, 200),
    ("health", "get", "/health/live", "active", 200, 200, 200, 200),
]


def body(endpoint: str, verb: str) -> dict:
    if endpoint in {"photos", "search", "embeddings"} and verb == "post":
        field = "images" if endpoint == "photos" else "image"
        return {"data": {field: photo_file(1)}, "format": "multipart"}
    if endpoint == "token":
        return {"data": {"username": "tom", "password": "correct horse"}}
    return {"data": {"title": "Chair"}} if verb in {"post", "patch", "put"} and endpoint in {"list", "detail"} else {}


def client_of(endpoint: str, person) -> APIClient:
    """Pages know people by their session, the API by what authenticated the request."""
    if endpoint not in {"admin", "original", "derivative", "health"}:
        return api(person)
    client = APIClient()
    if person is not None:
        client.force_login(person)
    return client


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(row[i] for i in (0, 1, 3)))
def test_every_person_gets_what_the_table_says(row):
    endpoint, verb, path, status, *expected = row
    make_user("tom", password="correct horse") if endpoint == "token" else None
    owner = make_user()
    people = dict(zip(PEOPLE, (None, owner, make_user(), make_user(staff=True)), strict=True))
    got, allowed = {}, {}
    for (name, person), cell in zip(people.items(), expected, strict=True):
        listing = make_listing(owner, status=status)
        image = make_ready_image(listing)
        url = path.format(listing=listing.pk, image=image.pk, thumb=image.thumb_file.url)
        response = getattr(client_of(endpoint, person), verb)(url, **body(endpoint, verb))
        got[name] = response.status_code
        allowed[name] = {cell} if isinstance(cell, int) else set(cell)
    assert {name: got[name] for name in PEOPLE if got[name] not in allowed[name]} == {}


@pytest.mark.django_db
def test_a_photo_is_deleted_only_through_its_own_listing():
    owner, thief = make_user(), make_user()
    image = make_image(make_listing(owner))
    own = make_listing(thief)
    assert api(thief).delete(PHOTO.format(listing=own.pk, image=image.pk)).status_code == 404
    image.refresh_from_db()


@pytest.mark.django_db
def test_the_object_permission_says_of_one_listing_what_the_queryset_says_of_all():
    owner = make_user()
    people: list[Any] = [AnonymousUser(), owner, make_user(), make_user(staff=True)]
    listings = [make_listing(owner, status=status) for status in Listing.Status.values]
    permission = MayChangeListing()
    for person in people:
        request: Any = RequestFactory().patch("/")
        request.user = person
        may = {listing for listing in listings if permission.has_object_permission(request, None, listing)}
        assert may == set(Listing.objects.editable_by(person))
