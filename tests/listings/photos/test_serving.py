"""Photos over HTTP: derivatives that cannot do harm, originals that only staff fetch, and leave a line in the log."""

import logging
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from listings.api.tokens import issue_token
from listings.models import Listing
from tests.factories import make_image, make_listing, make_ready_image, make_staff, make_user

pytestmark = pytest.mark.django_db


def content(response) -> bytes:
    return b"".join(response.streaming_content)


def test_a_derivative_is_kept_for_a_minute_and_can_do_nothing():
    image = make_ready_image(make_listing())
    for file in (image.clean_file, image.thumb_file):
        response = Client().get(file.url)
        assert response.status_code == 200
        assert content(response) == file.open().read()
        assert response["Content-Type"] == "image/jpeg"
        assert response["Cache-Control"] == "public, max-age=60, must-revalidate"
        assert "Cookie" not in response.get("Vary", "")
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert "Set-Cookie" not in response


@pytest.mark.parametrize("status", ["active", "sold"])
def test_a_public_picture_costs_one_query_even_for_somebody_signed_in(status, django_assert_num_queries):
    image = make_ready_image(make_listing(status=status))
    client = Client()
    client.force_login(make_user())
    for file in (image.clean_file, image.thumb_file):
        with django_assert_num_queries(1):
            assert client.get(file.url).status_code == 200


def test_the_query_for_a_picture_reads_no_table():
    image = make_ready_image(make_listing())
    for file in (image.clean_file, image.thumb_file):
        with CaptureQueriesContext(connection) as queries:
            Client().get(file.url)
        plan = planned_nodes(queries[0]["sql"])
        assert "image_" in plan
        assert "SCAN" not in plan.upper().replace("INDEX SCAN", "").replace("BITMAP HEAP SCAN", "")


def planned_nodes(sql: str) -> str:
    """The plan in words; PostgreSQL would read a table of one row whole, whatever index there is."""
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + sql)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def test_who_has_a_picture_asks_again_without_loading_it_again(django_assert_num_queries):
    image = make_ready_image(make_listing())
    etag = Client().get(image.thumb_file.url)["ETag"]
    Path(image.thumb_file.path).unlink()  # nor is the file opened
    with django_assert_num_queries(1):
        again = Client().get(image.thumb_file.url, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again["Cache-Control"] == "public, max-age=60, must-revalidate"
    assert again["ETag"] == etag


@pytest.mark.parametrize("status", ["draft", "removed"])
def test_pictures_of_drafts_and_removed_listings_are_as_private_as_their_page(status):
    seller = make_user()
    image = make_ready_image(make_listing(seller))
    etag = Client().get(image.thumb_file.url)["ETag"]
    Listing.objects.filter(pk=image.listing_id).update(status=status)
    may = {
        None: False,
        make_user(): False,
        make_staff(): False,
        seller: status == "draft",
        make_staff("listings.view_listing"): True,
        make_staff("listings.view_listingimage"): True,
        make_user(staff=True): True,
    }
    for person, sees in may.items():
        client = Client()
        if person:
            client.force_login(person)
        for file in (image.clean_file, image.thumb_file):
            response = client.get(file.url)
            assert response.status_code == (200 if sees else 404), person
            assert response["Cache-Control"] == ("private, no-cache" if sees else "private")
            assert "Cookie" in response["Vary"]
        again = client.get(image.thumb_file.url, headers={"If-None-Match": etag})
        assert again.status_code == (304 if sees else 404), person


def test_the_seller_of_a_draft_loads_its_pictures_with_the_token_too():
    image = make_ready_image(make_listing(status="draft"))
    for person, status in ((image.listing.seller, 200), (make_user(), 404)):
        token = issue_token(person)
        assert Client().get(image.thumb_file.url, headers={"Authorization": f"Token {token}"}).status_code == status
    assert Client().get(image.thumb_file.url, headers={"Authorization": "Token made-up"}).status_code == 404


def test_a_file_that_no_photo_names_is_not_served():
    image = make_ready_image(make_listing())
    name, root = "clean/ab/left-over.jpg", Path(settings.MEDIA_ROOT)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(image.clean_file.open().read())
    client = Client()
    client.force_login(make_user(staff=True))
    assert client.get(f"/media/{name}").status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "clean/missing.jpg",
        "secret.jpg",
        "other/secret.jpg",
        "clean/secret.txt",
        "clean/secret.jpg.txt",
        "clean/../secret.jpg",
        "clean/%2e%2e/secret.jpg",
        "clean/..%2fsecret.jpg",
        "clean//secret.jpg",
        "clean/ab/cd/secret.jpg",
        "clean/zz/secret.jpg",
        "clean/.secret.jpg",
        "clean/secret.JPG",
        "clean/secret.jpg%00",
        "clean/secret.jpg%0a",
        "clean\\secret.jpg",
        "clean/",
        "",
    ],
)
def test_no_other_file_is_served(name, settings):
    root = Path(settings.MEDIA_ROOT)
    for place in ("", "other", "clean", "clean/ab/cd", "clean/zz"):
        (root / place).mkdir(parents=True, exist_ok=True)
        for file in ("secret.jpg", "secret.txt", "secret.jpg.txt", ".secret.jpg", "secret.JPG"):
            if (place, file) != ("clean", "secret.jpg"):
                (root / place / file).write_bytes(b"secret")
    (root / "clean" / "ab").mkdir(exist_ok=True)
    (root / "clean" / "ab" / "fine.jpg").write_bytes(b"fine")
    # Named by a photo like every other, so that only its name stands in the way.
    listing = make_listing()
    for stored in ("clean/ab/fine.jpg", f"{name}"):
        make_image(listing, clean_file=stored)
    assert content(Client().get("/media/clean/ab/fine.jpg")) == b"fine"
    assert Client().get(f"/media/{name}").status_code == 404


@pytest.mark.parametrize("verb", ["post", "put", "patch", "delete"])
def test_files_are_only_read(verb):
    image = make_ready_image(make_listing())
    client = Client()
    client.force_login(make_user(staff=True))
    assert getattr(client, verb)(image.thumb_file.url).status_code == 405
    assert getattr(client, verb)(f"/originals/{image.pk}/").status_code == 405


def test_staff_download_an_original_as_it_was_sent_and_the_log_says_who(caplog):
    image = make_image(make_listing())
    staff = make_user(staff=True)
    client = Client()
    client.force_login(staff)
    with caplog.at_level(logging.INFO, "listings.photos.serving"):
        response = client.get(f"/originals/{image.pk}/")
    assert content(response) == image.original.open().read()
    assert response["Content-Disposition"] == f'attachment; filename="photo-{image.pk}.jpg"'
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Cache-Control"] == "private, no-store"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    (record,) = [record for record in caplog.records if record.name == "listings.photos.serving"]
    said = record.msg
    assert (said["event"], said["image"], said["by"]) == ("original_downloaded", image.pk, staff.pk)


def test_an_original_that_is_gone_is_not_found():
    image = make_image(make_listing())
    Path(image.original.path).unlink()
    client = Client()
    client.force_login(make_user(staff=True))
    assert client.get(f"/originals/{image.pk}/").status_code == 404
    assert client.get("/originals/999999/").status_code == 404


def test_the_owner_of_a_photo_cannot_fetch_the_original_either():
    owner = make_user()
    image = make_image(make_listing(owner))
    client = Client()
    client.force_login(owner)
    response = client.get(f"/originals/{image.pk}/")
    assert response.status_code == 403
