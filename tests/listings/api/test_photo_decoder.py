"""AVIF and HEIC over REST are opened by another process."""

import pytest

from tests.decoder_programs import BROKEN, REFUSING, replace_decoder_program
from tests.factories import api, make_listing, make_user, photo_file

pytestmark = pytest.mark.django_db


def test_an_avif_is_judged_by_another_process(monkeypatch):
    seller = make_user()
    url = f"/api/v1/listings/{make_listing(seller).pk}/images/"
    assert api(seller).post(url, {"images": photo_file(1, format="AVIF")}, format="multipart").status_code == 201
    replace_decoder_program(monkeypatch, REFUSING)
    answer = api(seller).post(url, {"images": photo_file(2, format="AVIF")}, format="multipart")
    assert (answer.status_code, answer.json()["detail"]) == (413, "Said by the other process.")


def test_a_photo_that_cannot_be_opened_on_this_machine_now_says_what_to_do(monkeypatch):
    seller = make_user()
    url = f"/api/v1/listings/{make_listing(seller).pk}/images/"
    replace_decoder_program(monkeypatch, BROKEN)
    answer = api(seller).post(url, {"images": photo_file(1, format="AVIF")}, format="multipart")
    assert answer.status_code == 415
    assert "Save the photo as JPEG, or try again later." in answer.json()["detail"]
