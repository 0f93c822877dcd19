"""Rights over what is not one's own: Django's permissions, for staff alone, in what answers hold and not only say."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from listings import permissions
from listings.models import Listing
from tests.factories import api, give_rights, make_image, make_listing, make_staff, make_user

pytestmark = pytest.mark.django_db

PHOTOS = "listings.change_listingimage"
PLACE = (53.79971234, -1.54921234)
SECRET: dict[str, Any] = {"status": "draft", "title": "Unpublished lamp", "latitude": PLACE[0], "longitude": PLACE[1]}

# What is asked for → the permissions each of which is enough for it, alone.
ENOUGH = {
    permissions.may_view_all: {"listings.view_listing", "listings.change_listing"},
    permissions.may_change_all: {"listings.change_listing"},
    permissions.may_view_originals: {"listings.view_listingimage", "listings.change_listingimage"},
    permissions.may_create_categories: {"listings.add_category"},
    permissions.may_embed_any_photo: {"recommender.view_embeddingmodel", "recommender.change_embeddingmodel"},
    permissions.may_see_site_health: {"recommender.view_heartbeat"},
    permissions.is_unlimited: {"listings.view_listing", "listings.change_listing"},
}
ALL = sorted(set.union(*ENOUGH.values()) | {"listings.delete_listing", "listings.delete_listingimage"})


def test_each_permission_opens_what_it_names_and_nothing_else():
    for right in ALL:
        staff = make_staff(right)
        assert {may for may in ENOUGH if may(staff)} == {may for may, enough in ENOUGH.items() if right in enough}


def test_permissions_are_worth_nothing_without_being_staff_nor_to_a_closed_account():
    seller, closed, nobody = make_user(), make_staff(*ALL), AnonymousUser()
    give_rights(seller, *ALL)
    closed.is_active = False
    former = make_user(staff=True)
    former.is_active = False
    assert not [may for may in ENOUGH for person in (seller, closed, former, nobody) if may(person)]


def test_staff_without_rights_finds_reads_and_changes_nothing_of_others():
    image = make_image(make_listing(**SECRET))
    removed, active = make_listing(status="removed"), make_listing()
    staff = make_staff()
    client, pages = api(staff), Client()
    pages.force_login(staff)
    address = f"/api/v1/listings/{image.listing_id}/"
    assert [one["id"] for one in client.get("/api/v1/listings/").json()["results"]] == [active.pk]
    assert client.get("/api/v1/listings/?status=draft").json()["results"] == []
    assert client.get(f"{address}similar/?status=draft").status_code == 400
    for hidden in (image.listing_id, removed.pk):
        assert client.get(f"/api/v1/listings/{hidden}/").status_code == 404
        assert client.patch(f"/api/v1/listings/{hidden}/", {"status": "active"}).status_code == 404
        assert pages.get(f"/listings/{hidden}/").status_code == 404
        assert pages.post(f"/my/listings/{hidden}/status/", {"status": "active"}).status_code == 404
    assert client.patch(f"/api/v1/listings/{active.pk}/", {"title": "Mine now"}).status_code == 403
    assert client.delete(f"/api/v1/listings/{active.pk}/").status_code == 403
    assert pages.post(f"/my/listings/{active.pk}/remove/").status_code == 403
    assert pages.get(f"/originals/{image.pk}/").status_code == 403
    unknown = {"title": "Chair", "category": "Made up / Chairs"}
    assert client.post("/api/v1/listings/", unknown).status_code == 400
    assert {row.pk: row.status for row in Listing.objects.all()} == {
        image.listing_id: "draft",
        removed.pk: "removed",
        active.pk: "active",
    }


def test_exact_places_and_unfinished_photos_are_for_the_seller_and_who_may_view_listings():
    seller = make_user()
    image = make_image(make_listing(seller, **SECRET | {"status": "active"}))
    for person, sees in (
        (None, False),
        (make_user(), False),
        (make_staff(), False),
        (make_staff("listings.view_listingimage"), False),
        (make_staff("listings.view_listing"), True),
        (make_staff("listings.change_listing"), True),
        (seller, True),
    ):
        answer = api(person).get(f"/api/v1/listings/{image.listing_id}/").json()
        assert ((answer["latitude"], answer["longitude"]) == PLACE) is sees, person
        assert [photo["id"] for photo in answer["images"]] == [image.pk] * sees, person


def test_who_may_view_changes_nothing_and_who_may_change_takes_a_removal_back():
    listing = make_listing(status="removed")
    address = f"/api/v1/listings/{listing.pk}/"
    viewer, moderator = make_staff("listings.view_listing"), make_staff("listings.change_listing")
    assert api(viewer).get(address).json()["status"] == "removed"
    assert api(viewer).patch(address, {"status": "active"}).status_code == 403
    assert api(viewer).delete(address).status_code == 403
    assert api(moderator).patch(address, {"status": "active"}).json()["status"] == "active"


def test_photos_of_others_are_deleted_by_who_may_delete_photos_over_rest_and_on_the_page():
    listing = make_listing()
    images = [make_image(listing) for _ in range(2)]
    changer = make_staff("listings.change_listing")
    deleter = make_staff("listings.view_listing", "listings.delete_listingimage")
    rest, page = "/api/v1/listings/{}/images/{}/", "/my/listings/{}/photos/{}/delete/"
    for person, rest_says, page_says in ((make_staff(), 403, 403), (changer, 403, 403), (deleter, 204, 302)):
        client = Client()
        client.force_login(person)
        assert api(person).delete(rest.format(listing.pk, images[0].pk)).status_code == rest_says
        assert client.post(page.format(listing.pk, images[1].pk)).status_code == page_says
    assert not listing.images.exists()


def test_permissions_cost_staff_two_queries_a_request_and_others_none():
    listing = make_listing()
    asked = {}
    for name, client in (("visitor", APIClient()), ("seller", api(make_user())), ("staff", api(make_staff()))):
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/api/v1/listings/{listing.pk}/")
        asked[name] = len(queries)
    assert asked["seller"] == asked["visitor"]
    assert asked["staff"] == asked["visitor"] + 2


@pytest.mark.parametrize("page", ["listings/listing", "listings/listingimage", "recommender/embedding"])
def test_photos_are_embedded_again_by_who_may_change_photos_on_whichever_page_it_is_offered(page):
    make_image(make_listing())
    views = ["listings.view_listing", "listings.view_listingimage", "recommender.view_embedding"]
    for rights, is_offered in (([*views, "listings.change_listing"], False), ([*views, PHOTOS], True)):
        client = Client()
        client.force_login(make_staff(*rights))
        assert ("Embed again" in client.get(f"/admin/{page}/").content.decode()) is is_offered


def test_a_token_is_kept_by_no_cache():
    make_user("tom", password="correct horse")
    answer = api().post("/api/v1/token/", {"username": "tom", "password": "correct horse"})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


def test_a_photo_is_deleted_only_through_its_own_listing():
    owner, thief = make_user(), make_user()
    image = make_image(make_listing(owner))
    own = make_listing(thief)
    assert api(thief).delete(f"/api/v1/listings/{own.pk}/images/{image.pk}/").status_code == 404
    image.refresh_from_db()


def test_what_is_said_of_one_listing_is_what_the_queryset_says_of_all():
    owner = make_user()
    people: list[Any] = [AnonymousUser(), owner, make_user(), make_staff(), make_user(staff=True)]
    people += [make_staff("listings.view_listing"), make_staff("listings.change_listing")]
    listings = [make_listing(owner, status=status) for status in Listing.Status.values]
    for person in people:
        may = {listing for listing in listings if permissions.may_change(person, listing)}
        assert may == set(Listing.objects.editable_by(person))
