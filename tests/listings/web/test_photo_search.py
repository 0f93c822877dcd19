import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils.safestring import SafeString
from rest_framework.settings import api_settings

from listings import slots
from listings.photos.uploads import check_photo
from ml.images import PhotoRefused
from tests.factories import photo_file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_pages")]

PAGE = "/search/photo/"


@pytest.fixture
def checked(bare_pages):
    """Whoever fills the slot looks at the file."""
    slots.register_filler("photo_search", lambda request, photo: SafeString(check_photo(photo).suffix))


def search(client, *photos):
    response = client.post(PAGE, {"image": photos})
    return response.status_code, response.content.decode()


def test_the_page_takes_files_and_photos_from_the_camera(client):
    page = client.get(PAGE).content.decode()
    assert 'enctype="multipart/form-data"' in page
    assert 'capture="environment"' in page
    assert "not available" not in page


def test_results_come_from_whoever_fills_the_slot(client):
    slots.register_filler("photo_search", lambda request, photo: SafeString(f"<b>{len(photo.read())} bytes</b>"))
    photo = photo_file(1)
    status, page = search(client, photo)
    assert status == 200
    assert f"<b>{photo.size} bytes</b>" in page


def test_of_two_inputs_the_one_with_a_file_counts(client):
    slots.register_filler("photo_search", lambda request, photo: SafeString(f"<b>{photo.name}</b>"))
    status, page = search(client, SimpleUploadedFile("empty.jpg", b""), photo_file(1, name="taken.jpg"))
    assert status == 200
    assert "<b>taken.jpg</b>" in page


def test_where_nobody_fills_the_slot_the_page_says_so(client):
    status, page = search(client, photo_file(1))
    assert status == 200
    assert "not available on this site" in page


def test_without_a_photo_the_page_asks_for_one(client):
    status, page = search(client)
    assert status == 400
    assert "Choose a photo, or take one." in page


@pytest.mark.usefixtures("checked")
def test_a_file_that_is_no_photo_is_refused_beside_the_field(client):
    status, page = search(client, SimpleUploadedFile("notes.txt", b"just words"))
    assert status == 415
    assert "The file is not a photo." in page
    assert 'aria-invalid="true"' in page


@pytest.mark.usefixtures("checked")
def test_a_photo_that_is_too_large_is_refused(client, settings):
    settings.PHOTO_MAX_BYTES = 100
    status, page = search(client, photo_file(1))
    assert status == 413
    assert "larger than" in page


def test_searching_very_often_has_to_wait(client, monkeypatch):
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "search", "1/h")
    assert search(client, photo_file(1))[0] == 200
    # As a browser's, whose form is read for the token in it.
    client.handler.enforce_csrf_checks = True
    refused = client.post(PAGE, {"image": photo_file(1)})
    assert refused.status_code == 429
    assert "That was very often." in refused.content.decode()
    assert not hasattr(refused.wsgi_request, "_post"), "the photo was read"


def test_a_form_larger_than_one_photo_is_refused_before_it_is_read(client):
    response = client.post(PAGE, CONTENT_LENGTH=str(41 * 1024**2 + 1))
    assert response.status_code == 413
    assert "The photo is larger than 40 MB." in response.content.decode()


def test_a_refusal_by_the_decoder_is_shown_beside_the_field(client):
    def filler(request, photo):
        raise PhotoRefused("The file ends in the middle of the picture.", "truncated")

    slots.register_filler("photo_search", filler)
    status, page = search(client, photo_file(1))
    assert status == 415
    assert "The file ends in the middle of the picture." in page
