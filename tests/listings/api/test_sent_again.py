"""Sent again, because its answer was lost, nothing is made twice: listings by `Idempotency-Key`, photos by bytes."""

import threading
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone

from listings.models import Listing, RequestKeyRow
from ml.images import try_decoding_place
from tests.factories import api, draw_plain_photo, make_listing, make_ready_image, make_user, photo_file
from workers.maintenance import run_garbage_collection

pytestmark = pytest.mark.django_db

LISTINGS = "/api/v1/listings/"


@pytest.fixture
def seller():
    return make_user()


@pytest.fixture
def listing(seller):
    return make_listing(seller)


def upload(person, listing: Listing, *files, **options):
    return api(person).post(f"{LISTINGS}{listing.pk}/images/", {"images": list(files)}, format="multipart", **options)


def fake(data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("photo.jpg", data, "image/jpeg")


def originals(settings) -> set[Path]:
    return {path for path in Path(settings.ORIGINALS_ROOT).rglob("*") if path.is_file()}


def publish(person, key: str | None = "a", **fields):
    headers = {} if key is None else {"Idempotency-Key": key}
    return api(person).post(LISTINGS, {"title": "Oak chair", **fields}, headers=headers)


def test_a_listing_sent_again_is_answered_as_it_is_now(seller):
    first = publish(seller)
    Listing.objects.update(title="Oak chair, sold with its cushion")
    again = publish(seller)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"title": "Oak chair, sold with its cushion"}
    assert again["Location"] == first["Location"]
    assert Listing.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_requests_at_once_make_one_listing(seller):
    barrier = threading.Barrier(8)
    answers = []

    def send():
        barrier.wait()
        answers.append(publish(seller))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert {answer.json()["id"] for answer in answers} == {Listing.objects.get().pk}


def test_without_a_key_and_with_another_each_request_makes_one(seller):
    assert [publish(seller, key).status_code for key in (None, None, "a", "b")] == [201] * 4
    assert publish(make_user(), "a").status_code == 201
    assert Listing.objects.count() == 5


def test_a_key_with_quotes_is_the_same_key(seller):
    assert publish(seller, '"a"').json()["id"] == publish(seller, "a").json()["id"]


def test_a_key_is_not_taken_for_something_else(seller):
    publish(seller)
    refused = publish(seller, title="Oak stool")
    assert (refused.status_code, refused.json()["code"]) == (422, "key_reused")
    assert Listing.objects.count() == 1


def test_a_refused_request_leaves_its_key_free(seller):
    assert publish(seller, price="-1").status_code == 400
    assert publish(seller).status_code == 201


@pytest.mark.parametrize("staff", [False, True])
def test_a_listing_that_was_removed_is_not_made_again(staff):
    seller = make_user(staff=staff)
    Listing.objects.filter(pk=publish(seller).json()["id"]).update(status="removed")
    refused = publish(seller)
    assert (refused.status_code, refused.json()["code"]) == (409, "already_gone")
    assert Listing.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, '""', "caf\u00e9", "a\tb"])
def test_a_key_that_is_none_is_refused_with_what_is_one(seller, key):
    refused = publish(seller, key)
    assert refused.status_code == 400
    sentence = "Idempotency-Key is 1 to 255 printable ASCII characters, such as a UUID."
    assert refused.json()["fields"] == {"Idempotency-Key": [sentence]}


def test_keys_are_forgotten_when_nobody_tries_again_any_more(seller):
    publish(seller, "old")
    RequestKeyRow.objects.update(created_at=timezone.now() - timedelta(days=8))
    publish(seller, "new")
    run_garbage_collection()
    assert RequestKeyRow.objects.count() == 1
    assert [publish(seller, key).status_code for key in ("old", "new")] == [201, 200]


def test_the_same_bytes_stay_one_photo_of_a_listing(seller, listing, settings):
    before = originals(settings)
    first = upload(seller, listing, photo_file(1), photo_file(2))
    again = upload(seller, listing, photo_file(2), photo_file(1), photo_file(2))
    assert (first.status_code, again.status_code) == (201, 200)
    one, two = first.json()
    assert again.json() == [two, one, two]
    more = upload(seller, listing, photo_file(1), fake(b"MZ" + bytes(300)), photo_file(3))
    assert more.status_code == 201
    assert [entry["id"] for entry in more.json()] == [one["id"], None, listing.images.last().pk]
    assert len(originals(settings) - before) == listing.images.count() == 3


def test_a_photo_that_is_ready_is_shown_when_it_is_sent_again(seller, listing):
    image = make_ready_image(listing)
    with image.original.open() as file:
        (entry,) = upload(seller, listing, fake(file.read())).json()
    assert (entry["id"], entry["state"]) == (image.pk, "ready")
    assert entry["thumb"] == f"http://testserver{image.thumb_file.url}"


def test_a_full_listing_takes_what_it_has_already(seller, listing, settings):
    settings.PHOTOS_PER_LISTING = 1
    upload(seller, listing, photo_file(1))
    assert upload(seller, listing, photo_file(1)).status_code == 200
    assert upload(seller, listing, photo_file(2)).status_code == 400


def test_the_same_bytes_are_a_photo_of_each_listing(seller, listing):
    other = make_listing(seller)
    assert [upload(seller, one, photo_file(1)).status_code for one in (listing, other)] == [201, 201]


@pytest.mark.django_db(transaction=True)
def test_the_same_photo_sent_eight_times_at_once_is_stored_once(listing, settings):
    before = originals(settings)
    barrier = threading.Barrier(8)
    answers = []

    def send():
        barrier.wait()
        answers.append(upload(listing.seller, listing, photo_file(1)))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (image,) = listing.images.all()
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert {answer.json()[0]["id"] for answer in answers} == {image.pk}
    assert len(originals(settings) - before) == 1


def test_a_key_for_photos_is_for_these_photos(seller, listing):
    sent = [upload(seller, listing, photo_file(1), headers={"Idempotency-Key": "a"}) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [201, 200]
    refused = upload(seller, listing, photo_file(2), headers={"Idempotency-Key": "a"})
    assert (refused.status_code, refused.json()["code"]) == (422, "key_reused")
    assert listing.images.count() == 1


def test_a_key_for_photos_is_for_what_was_sent_whatever_is_accepted_of_it(seller, listing):
    """A picture of one colour is found out where this process has a place for decoding, else by a worker."""
    plain = draw_plain_photo()
    with ExitStack() as places:
        while places.enter_context(try_decoding_place()):
            pass
        first = upload(seller, listing, photo_file(1), fake(plain), headers={"Idempotency-Key": "a"})
    again = upload(seller, listing, photo_file(1), fake(plain), headers={"Idempotency-Key": "a"})
    assert [answer.status_code for answer in (first, again)] == [201, 200]
    assert [entry["code"] for entry in again.json()] == ["", "one_colour"]
    assert first.json()[0] == again.json()[0]


def test_photos_that_are_refused_leave_their_key_free(seller, listing, settings):
    settings.PHOTOS_PER_LISTING = 1
    refused = upload(seller, listing, photo_file(1), photo_file(2), headers={"Idempotency-Key": "a"})
    kept = upload(seller, listing, photo_file(1), headers={"Idempotency-Key": "a"})
    again = upload(seller, listing, photo_file(2), headers={"Idempotency-Key": "a"})
    assert [answer.status_code for answer in (refused, kept, again)] == [400, 201, 422]
