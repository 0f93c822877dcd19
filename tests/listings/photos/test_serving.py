"""Photos over HTTP: derivatives that cannot do harm, originals that only staff fetch, and leave a line in the log."""

import logging
from pathlib import Path

import pytest
from django.test import Client

from tests.factories import make_image, make_listing, make_ready_image, make_user

pytestmark = pytest.mark.django_db


def content(response) -> bytes:
    return b"".join(response.streaming_content)


def test_a_derivative_is_served_for_ever_and_can_do_nothing():
    image = make_ready_image(make_listing())
    for file in (image.clean_file, image.thumb_file):
        response = Client().get(file.url)
        assert response.status_code == 200
        assert content(response) == file.open().read()
        assert response["Content-Type"] == "image/jpeg"
        assert response["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert "Set-Cookie" not in response


def test_serving_a_derivative_asks_the_database_nothing_even_for_somebody_signed_in(django_assert_num_queries):
    image = make_ready_image(make_listing())
    client = Client()
    client.force_login(make_user())
    with django_assert_num_queries(0):
        assert client.get(image.thumb_file.url).status_code == 200


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
    (root / "clean" / "ab" / "fine.jpg").write_bytes(b"fine")
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
