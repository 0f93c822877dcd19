import io

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image
from rest_framework.test import APIClient

from listings.limits.turns import Turns
from listings.models import Listing
from ml.per_process import PerProcess
from recommender.embedding.embedder_cache import embedders
from recommender.models import EmbeddingModel
from recommender.search import photo_query
from tests.factories import draw_photo, draw_plain_photo, make_listing, make_ready_image, make_user, photo_file
from tests.recommender.queue_rows import at_once
from tests.recommender.shop import embed

SEARCH, EMBED = "/api/v1/search/image/", "/api/v1/embeddings/"


def post(url, user=None, query="", **fields):
    client = APIClient()
    client.force_authenticate(user)
    return client.post(url + query, fields, format="multipart")


@pytest.fixture
def gallery(fresh_index, untrained):
    """Four listings with different photos, embedded by the real model."""
    listings = [make_listing(title=f"picture {seed}", price=10 * seed) for seed in range(4)]
    for seed, listing in enumerate(listings):
        make_ready_image(listing, seed)
        embed(listing, untrained)
    fresh_index.refresh()
    return listings


def framed(seed: int) -> bytes:
    """The drawn picture in the right half of a white one."""
    picture = Image.open(io.BytesIO(draw_photo(seed)))
    wall = Image.new("RGB", (picture.width * 2, picture.height), "white")
    wall.paste(picture, (picture.width, 0))
    out = io.BytesIO()
    wall.save(out, "PNG")
    return out.getvalue()


def upload(data: bytes, name="photo.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, "image/jpeg")


def test_a_photo_finds_the_listing_it_belongs_to(gallery):
    for seed, listing in enumerate(gallery):
        response = post(SEARCH, image=photo_file(seed))
        assert response.status_code == 200, response.content
        answer = response.json()
        assert list(answer) == ["request_id", "model", "ranker", "index", "results"]
        assert answer["model"] == "untrained"
        assert len(answer["results"]) == 4
        first = max(answer["results"], key=lambda result: result["similarity"])
        assert first["listing"]["id"] == listing.pk
        assert first["similarity"] == pytest.approx(1.0, abs=2e-3)


def test_a_crop_searches_with_that_part_of_the_upright_picture(gallery):
    part = post(SEARCH, image=upload(framed(2)), crop="0.5,0,0.5,1").json()["results"]
    best = max(part, key=lambda result: result["similarity"])
    assert best["listing"]["id"] == gallery[2].pk
    assert best["similarity"] > 0.99
    whole = post(SEARCH, image=upload(framed(2))).json()["results"]
    assert max(result["similarity"] for result in whole) < best["similarity"]


TINY = "0." + 320 * "0" + "1"
ONE_COLOUR = "The photo shows one colour only, so nothing can be found by it."


@pytest.mark.parametrize(
    ("data", "crop", "note"),
    [
        (draw_plain_photo(), {}, ONE_COLOUR),
        (draw_plain_photo((9, 9, 9), (900, 700), "WEBP", lossless=True), {}, ONE_COLOUR),
        (draw_plain_photo((1, 2, 3, 0), format="PNG"), {}, ONE_COLOUR),
        (framed(2), {"crop": "0,0,0.4,1"}, ONE_COLOUR),
        (draw_photo(2, (63, 80)), {}, "The photo has fewer than 64 pixels on one side, so nothing can be found by it."),
    ],
    ids=["plain", "large", "transparent", "part", "tiny"],
)
def test_a_photo_that_shows_nothing_finds_nothing_and_says_so(gallery, data, crop, note):
    response = post(SEARCH, image=upload(data), explain="1", **crop)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert list(answer) == ["request_id", "model", "ranker", "index", "results", "note"]
    assert (answer["results"], answer["note"], answer["index"]["plan"]) == ([], note, [])


def test_filters_may_stand_in_the_form_or_in_the_address_and_the_form_wins(gallery):
    def prices(**ask):
        return sorted(
            float(one["listing"]["price"]) for one in post(SEARCH, image=photo_file(1), **ask).json()["results"]
        )

    assert prices(min_price="15") == [20, 30]
    assert prices(query="?min_price=15") == [20, 30]
    assert prices(query="?min_price=15&limit=1", min_price="5", limit="3") == [10, 20, 30]


def test_explain_adds_reasons_and_how_the_index_was_searched(gallery):
    assert "plan" not in post(SEARCH, image=photo_file(1)).json()["index"]
    answer = post(SEARCH, image=photo_file(1), explain="1", min_price="5").json()
    assert answer["index"]["plan"] == [
        {"place": "delta", "how": "exact", "selected": 3, "compared": 3, "lists": 0},
    ]
    assert all("reasons" in result for result in answer["results"])


def test_nothing_of_the_photo_is_kept(gallery):
    post(SEARCH, image=photo_file(9))
    assert Listing.objects.count() == 4
    assert not any(listing.images.count() != 1 for listing in gallery)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "image"),
        ({"image": "not a file"}, "image"),
        ({"crop": "0,0,1"}, "crop"),
        ({"crop": "0,0,1,nan"}, "crop"),
        ({"crop": "0,0,1,0_1"}, "crop"),
        ({"crop": "0.5,0,0.6,1"}, "crop"),
        ({"crop": "-0.1,0,0.5,1"}, "crop"),
        ({"crop": "0,0,0,1"}, "crop"),
        ({"crop": "here"}, "crop"),
        ({"crop": f"0,0,1,{TINY}"}, "crop"),
        ({"crop": f"0,0,{TINY},{TINY}"}, "crop"),
        ({"crop": "0,0,1,0.01"}, "crop"),
        ({"crop": "0,0,1,0.1"}, "crop"),
        ({"limit": "1000"}, "limit"),
        ({"near": "x"}, "near"),
        ({"status": "draft"}, "status"),
    ],
    ids=str,
)
def test_bad_input_is_refused_by_field(gallery, fields, field):
    if field != "image":
        fields = {"image": photo_file()} | fields
    response = post(SEARCH, **fields)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [field]


@pytest.mark.parametrize("url", [SEARCH, EMBED])
@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 415, "not_an_image"),
        (b"GIF89a but not really", 415, None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported"),
        (draw_photo(size=(800, 800))[:3000], 415, "truncated"),
        (b"\xff\xd8\xff" + b"\0" * (40 * 1024 * 1024), 413, "too_large"),
    ],
    ids=["empty", "pretender", "svg", "cut off", "41 MB"],
)
def test_what_is_no_photo_or_too_large_is_refused_in_words(gallery, url, data, status, code):
    response = post(url, make_user(staff=True), image=upload(data))
    assert response.status_code == status
    assert code in (None, response.json()["code"])
    assert response.json()["detail"].endswith(".")


def test_a_request_much_larger_than_a_photo_is_refused_before_its_photo(gallery):
    response = post(SEARCH, image=upload(b"\0" * (42 * 1024 * 1024)))
    assert response.status_code == 413


@pytest.mark.parametrize("url", [SEARCH, EMBED])
def test_a_request_that_says_it_is_far_too_long_is_refused_unread_whoever_sends_it(gallery, url):
    response = APIClient().generic(
        "POST", url, "x", content_type="multipart/form-data; boundary=x", CONTENT_LENGTH=str(50 * 1024 * 1024)
    )
    assert (response.status_code, response.json()["detail"]) == (413, "The photo is larger than 40 MB.")


def test_a_request_without_a_body_is_told_that_the_photo_is_missing(gallery):
    response = APIClient().post(SEARCH)
    assert (response.status_code, list(response.json()["fields"])) == (400, ["image"])


def test_a_body_that_is_no_form_is_refused(gallery):
    client = APIClient()
    assert client.post(SEARCH, {"image": "x"}, format="json").status_code == 415
    broken = client.post(SEARCH, b"--x\r\nnonsense", content_type="multipart/form-data; boundary=x")
    assert broken.status_code == 400
    unbounded = client.post(SEARCH, b"abc", content_type="multipart/form-data")
    assert unbounded.status_code == 400


def test_while_two_photos_are_being_decoded_a_third_is_asked_to_come_back(gallery, monkeypatch):
    monkeypatch.setattr(photo_query, "decoding_turns", PerProcess(lambda: Turns(2, most_wait=0)))
    with photo_query.take_decoding_turn("a"), photo_query.take_decoding_turn("b"):
        response = post(SEARCH, image=photo_file())
        assert (response.status_code, response["Retry-After"]) == (503, "1")
        assert response.json()["code"] == "busy"
    assert post(SEARCH, image=photo_file()).status_code == 200


def test_a_caller_whose_photo_is_being_decoded_waits_and_others_do_not(gallery, monkeypatch):
    monkeypatch.setattr(photo_query, "decoding_turns", PerProcess(lambda: Turns(2, most_wait=0)))
    for user in (make_user(), None):
        with photo_query.take_decoding_turn(f"user-{user.pk}" if user else "ip-127.0.0.1"):
            assert post(SEARCH, user, image=photo_file()).status_code == 503
            assert post(SEARCH, make_user(), image=photo_file()).status_code == 200


def test_a_refused_photo_gives_its_place_back(gallery):
    for _ in range(3):
        assert post(SEARCH, image=upload(draw_photo(size=(800, 800))[:3000])).status_code == 415
    assert post(SEARCH, image=photo_file()).status_code == 200


def test_photos_sent_at_the_same_time_are_answered_or_told_to_come_back(gallery):
    statuses = []

    def search() -> None:
        from django.db import connection

        statuses.append(post(SEARCH, image=photo_file(1)).status_code)
        connection.close()

    at_once(search)
    assert len(statuses) == 6
    assert set(statuses) <= {200, 503}
    assert 200 in statuses


def test_without_a_model_or_its_files_search_says_what_is_missing(fresh_index):
    response = post(SEARCH, image=photo_file())
    assert (response.status_code, response.json()["code"]) == (503, "index_not_ready")
    response = post(EMBED, make_user(staff=True), image=photo_file())
    assert (response.status_code, response.json()["code"]) == (503, "model_not_ready")
    EmbeddingModel.objects.create(version="gone", arch="a", dim=8, checkpoint="gone", sha256="0" * 64, state="active")
    fresh_index.refresh()
    response = post(SEARCH, image=photo_file())
    assert (response.status_code, response.json()["code"]) == (503, "model_not_ready")
    assert response["Retry-After"] == "10"


class Mute:
    """A model that computes nothing."""

    def prepare(self, image):
        return np.zeros((8, 8, 3), np.uint8)

    def embed(self, batch):
        return np.full((len(batch), 8), np.nan, np.float32)


def test_a_vector_that_is_no_number_is_compared_with_nothing(gallery, monkeypatch):
    monkeypatch.setattr(embedders, "load_embedder", lambda model: Mute())
    response = post(SEARCH, image=photo_file())
    assert (response.status_code, response.json()["code"]) == (503, "model_not_ready")


def test_staff_reads_the_vector_that_the_index_holds_for_this_photo(gallery, untrained):
    response = post(EMBED, make_user(staff=True), image=photo_file(3))
    assert response.status_code == 200
    answer = response.json()
    assert list(answer) == ["model", "dim", "vector"]
    assert (answer["model"], answer["dim"], len(answer["vector"])) == ("untrained", untrained.dim, untrained.dim)
    stored = np.frombuffer(gallery[3].images.get().embeddings.get().vector, np.float16).astype(np.float32)
    assert np.linalg.norm(answer["vector"]) == pytest.approx(1, abs=5e-3)
    assert stored @ np.array(answer["vector"]) == pytest.approx(1, abs=5e-3)


def test_vectors_are_for_staff_and_search_for_everybody(gallery):
    people = {"visitor": None, "person": make_user(), "staff": make_user(staff=True)}
    vectors = {who: post(EMBED, user, image=photo_file()).status_code for who, user in people.items()}
    assert vectors == {"visitor": 401, "person": 403, "staff": 200}
    searches = {who: post(SEARCH, user, image=photo_file()).status_code for who, user in people.items()}
    assert searches == dict.fromkeys(people, 200)


def test_photo_searches_are_limited_by_caller(gallery, monkeypatch):
    from rest_framework.settings import api_settings

    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "search", "2/day")
    statuses = [post(SEARCH, image=photo_file()).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
