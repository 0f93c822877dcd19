"""AVIF and HEIC that are searched with are opened by another process, whose trouble is no fault of theirs."""

import pytest

from ml.images import decoder_process
from tests.decoder_programs import BROKEN, KEPT_WAITING, REFUSING, replace_decoder_program
from tests.factories import draw_photo, make_user
from tests.recommender.api.test_search import EMBED, SEARCH, post, upload


@pytest.mark.parametrize("url", [SEARCH, EMBED])
def test_an_avif_is_decoded_by_another_process_and_trouble_with_that_is_no_fault_of_it(
    fresh_index, untrained, url, monkeypatch
):
    fresh_index.refresh()
    user = make_user(staff=True)
    assert post(url, user, image=upload(draw_photo(1, format="AVIF"))).status_code == 200
    replace_decoder_program(monkeypatch, REFUSING)
    response = post(url, user, image=upload(draw_photo(1, format="AVIF")))
    assert (response.status_code, response.json()["detail"]) == (413, "Said by the other process.")
    monkeypatch.setattr(decoder_process, "CLOCK_SECONDS", 0.2)
    for program in (BROKEN, KEPT_WAITING):
        replace_decoder_program(monkeypatch, program)
        response = post(url, user, image=upload(draw_photo(1, format="AVIF")))
        assert (response.status_code, response.json()["code"]) == (503, "busy")
