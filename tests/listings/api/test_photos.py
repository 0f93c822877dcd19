"""Uploading and deleting photos over REST: each file judged by itself, stored together, nothing left behind."""

import hashlib
import threading
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from listings.models import Listing, ListingImage
from tests.factories import api, draw_photo, draw_plain_photo, make_image, make_listing, make_user, photo_file
from tests.ml.pictures import claim_png

pytestmark = pytest.mark.django_db

NOT_A_PHOTO = b"MZ" + bytes(300)
BROKEN_BASE64 = (
    b"--B\r\nContent-Disposition: form-data; name=images; filename=a\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nabc\r\n--B--\r\n"
)


def url(listing: Listing, image_id: int | None = None) -> str:
    return f"/api/v1/listings/{listing.pk}/images/" + (f"{image_id}/" if image_id else "")


def send(person, listing: Listing, *files):
    return api(person).post(url(listing), {"images": list(files)}, format="multipart")


def fake(data: bytes = NOT_A_PHOTO, name: str = "photo.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, "image/jpeg")


def originals(settings) -> set[Path]:
    return {path for path in Path(settings.ORIGINALS_ROOT).rglob("*") if path.is_file()}


@pytest.fixture
def seller():
    return make_user()


@pytest.fixture
def listing(seller):
    return make_listing(seller)


def test_photos_are_stored_in_order_as_they_were_sent(seller, listing):
    photos = [draw_photo(seed, size=(90 + seed, 70)) for seed in range(3)]
    response = send(seller, listing, *(fake(photo) for photo in photos))
    assert response.status_code == 201, response.content
    images = list(listing.images.all())
    assert response.json() == [
        {"id": image.pk, "state": "new", "reason": "", "code": "", "thumb": None, "position": position}
        for position, image in enumerate(images)
    ]
    assert [image.original.open().read() for image in images] == photos
    assert [image.sha256 for image in images] == [hashlib.sha256(photo).hexdigest() for photo in photos]
    assert [(image.width, image.height) for image in images] == [(90, 70), (91, 70), (92, 70)]
    assert {image.source for image in images} == {"upload"}


def test_later_photos_follow_earlier_ones(seller, listing):
    make_image(listing, position=6)
    assert send(seller, listing, photo_file(1)).json()[0]["position"] == 7


def test_a_bad_file_is_refused_beside_good_ones(seller, listing):
    answer = send(seller, listing, photo_file(1), fake(), photo_file(2))
    assert answer.status_code == 201
    first, refused, last = answer.json()
    assert (first["position"], last["position"]) == (0, 1)
    assert refused["reason"]
    assert refused == {**refused, "id": None, "state": "rejected", "thumb": None, "position": None}
    assert listing.images.count() == 2


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ([b""], 415),
        ([NOT_A_PHOTO], 415),
        ([b"<svg xmlns='http://www.w3.org/2000/svg'/>"], 415),
        ([b"%PDF-1.7"], 415),
        ([draw_photo(1)[:40]], 415),
        ([NOT_A_PHOTO, "huge"], 415),
        (["huge", NOT_A_PHOTO], 413),
        (["pixels"], 413),
    ],
)
def test_when_all_are_refused_the_status_is_that_of_the_first(seller, listing, files, status, settings):
    made = {
        "huge": lambda: draw_photo(1) + bytes(settings.PHOTO_MAX_BYTES),
        "pixels": lambda: claim_png(20_000, 20_000),
    }
    before = originals(settings)
    response = send(seller, listing, *(fake(made[file]() if isinstance(file, str) else file) for file in files))
    assert response.status_code == status
    assert isinstance(response.json()["detail"], str)
    assert not listing.images.exists()
    assert originals(settings) == before


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (draw_photo(1, size=(63, 500)), "63 by 500 pixels"),
        (draw_photo(1, size=(500, 63)), "500 by 63 pixels"),
        (draw_plain_photo(), "one colour"),
        (draw_photo(1, size=(640, 480))[:2000], "damaged"),
    ],
)
def test_a_photo_in_which_nothing_can_be_seen_is_refused_with_a_sentence(seller, listing, photo, reason, settings):
    before = originals(settings)
    alone = send(seller, listing, fake(photo))
    assert alone.status_code == 415
    assert reason in alone.json()["detail"]
    assert originals(settings) == before
    _, beside = send(seller, listing, photo_file(2, size=(64, 64)), fake(photo)).json()
    assert (beside["state"], beside["reason"]) == ("rejected", alone.json()["detail"])


def test_a_photo_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(seller, listing, settings):
    photo = draw_photo(1)
    settings.PHOTO_MAX_BYTES = len(photo)
    response = send(seller, listing, fake(photo), fake(photo + b"x"))
    assert [file["state"] for file in response.json()] == ["new", "rejected"]


def test_no_more_than_the_limit_is_kept_on_disk_and_nothing_stays_there(
    seller, listing, settings, monkeypatch, tmp_path
):
    kept = []

    def look(upload):
        kept.append(Path(upload.temporary_file_path()).stat().st_size)
        return check_photo(upload)

    from listings.photos import uploads
    from listings.photos.uploads import check_photo

    monkeypatch.setattr(uploads, "check_photo", look)
    settings.PHOTO_MAX_BYTES = 100_000
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    send(seller, listing, fake(draw_photo(1) + bytes(900_000)), photo_file(2))
    assert kept[0] <= 100_000
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_says_it_is_far_too_long_is_refused_unread(seller, listing):
    client = Client(enforce_csrf_checks=True)
    client.force_login(seller)
    response = client.generic(
        "POST", url(listing), b"x", content_type=MULTIPART_CONTENT, CONTENT_LENGTH=str(settings.BODY_MAX_BYTES + 1)
    )
    assert response.status_code == 413
    assert "MB" in response.json()["detail"]


@pytest.mark.parametrize(("present", "sent"), [(10, 1), (8, 3), (0, 11)])
def test_an_eleventh_photo_is_refused_with_all_of_its_request(seller, listing, settings, present, sent):
    for _ in range(present):
        make_image(listing)
    before = originals(settings)
    response = send(seller, listing, *(photo_file(seed) for seed in range(sent)))
    assert response.status_code == 400
    assert "at most 10 photos" in response.json()["images"][0]
    assert listing.images.count() == present
    assert originals(settings) == before


def test_rejected_photos_take_no_place(seller, listing):
    for _ in range(5):
        make_image(listing, state="rejected")
        make_image(listing)
    assert send(seller, listing, *(photo_file(seed) for seed in range(5))).status_code == 201
    assert send(seller, listing, photo_file(9)).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_two_uploads_at_once_do_not_exceed_the_limit(settings):
    listing = make_listing()
    for _ in range(8):
        make_image(listing)
    before = originals(settings)
    barrier = threading.Barrier(4)
    statuses = []

    def upload(seed):
        barrier.wait()
        statuses.append(send(listing.seller, listing, photo_file(seed), photo_file(seed + 10)).status_code)
        connection.close()

    threads = [threading.Thread(target=upload, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, 400, 400, 400]
    assert sorted(listing.images.values_list("position", flat=True)) == list(range(10))
    assert len(originals(settings) - before) == 2


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..",
        "a\\b.exe",
        "x" * 300 + ".jpg",
        "photo." + "y" * 400,
        "nul\x00.jpg",
        "photo.php",
        "é\n.jpg",
    ],
)
def test_the_sender_s_file_name_decides_nothing(seller, listing, name, settings):
    before = originals(settings)
    body = encode_multipart(BOUNDARY, {"images": [photo_file(1, name="NAME")]}).replace(b"NAME", name.encode())
    client = api(seller)
    response = client.generic("POST", url(listing), body, content_type=MULTIPART_CONTENT)  # type: ignore[arg-type]
    assert response.status_code in {201, 400}
    for path in originals(settings) - before:
        assert path.suffix == ".jpeg"
        assert len(path.stem) == 32


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", MULTIPART_CONTENT, 400),
        (b"nonsense", MULTIPART_CONTENT, 400),
        (b"nonsense", "multipart/form-data", 400),
        (b"nonsense", "multipart/form-data; boundary=\xff", 400),
        (
            b"--B\r\nContent-Disposition: form-data; name=images\r\n\r\ntext\r\n--B--",
            "multipart/form-data; boundary=B",
            400,
        ),
        (b"{}", "application/json", 415),
        (b"\xff\xd8", "image/jpeg", 415),
        (
            BROKEN_BASE64,
            "multipart/form-data; boundary=B",
            400,
        ),
    ],
)
def test_a_request_without_photos_is_refused(seller, listing, body, content_type, status):
    response = api(seller).generic("POST", url(listing), body, content_type=content_type)
    assert response.status_code == status, response.content
    assert response.json()


def test_more_files_than_a_form_may_hold_are_refused(seller, listing):
    response = send(seller, listing, *(fake(b"x") for _ in range(101)))
    assert response.status_code == 400
    assert response.json() == {"detail": "This request is malformed.", "code": "malformed"}


def test_options_say_what_an_upload_takes(seller, listing):
    response = api(seller).options(url(listing))
    assert response.status_code == 200
    assert list(response.json()["actions"]["POST"]) == ["images"]


def test_a_logged_in_browser_needs_its_csrf_token(seller, listing):
    client = Client(enforce_csrf_checks=True)
    client.force_login(seller)
    assert client.post(url(listing), {"images": [photo_file(1)]}).status_code == 403
    client.cookies["csrftoken"] = "a" * 32
    sent = {"images": [photo_file(1)], "csrfmiddlewaretoken": "a" * 32}
    assert client.post(url(listing), sent).status_code == 201
    assert listing.images.get().sha256 == hashlib.sha256(draw_photo(1)).hexdigest()


@pytest.mark.django_db(transaction=True)
def test_deleting_a_photo_deletes_its_row_and_its_files(seller, listing, settings):
    before = originals(settings)
    image = make_image(listing)
    other = make_image(make_listing(seller))
    assert api(seller).delete(url(listing, other.pk)).status_code == 404
    assert api(seller).delete(url(listing, image.pk)).status_code == 204
    assert api(seller).delete(url(listing, image.pk)).status_code == 404
    assert list(ListingImage.objects.all()) == [other]
    assert len(originals(settings) - before) == 1


def test_photos_go_to_no_removed_listing(seller):
    listing = make_listing(seller, status="removed")
    assert send(seller, listing, photo_file(1)).status_code == 404
    assert api(seller).delete(url(listing, make_image(listing).pk)).status_code == 404
