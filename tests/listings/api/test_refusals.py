"""Every refusal has one shape; what a call does not know is refused by name, with what it knows."""

import io

import pytest
from rest_framework.test import APIClient

from recommender.api.requests import RankedSerializer
from tests.factories import api, draw_photo, make_listing, make_user

pytestmark = pytest.mark.django_db

LISTINGS = "/api/v1/listings/"
SEARCH = "/api/v1/search/image/"


@pytest.fixture
def seller():
    return make_user("sue", password="correct horse")


@pytest.fixture
def listing(seller):
    return make_listing(seller, pk=7)


def refusals():
    """Who sends what, the status, the code, and a part of the sentence."""
    own, photos = f"{LISTINGS}7/", f"{LISTINGS}7/images/"
    return [
        ("sue", "post", LISTINGS, {}, {}, 400, "invalid", "title: This field is required."),
        ("sue", "post", LISTINGS, {"title": "x", "latitude": 1}, {}, 400, "invalid", "longitude: Give both"),
        ("sue", "post", LISTINGS, [], {}, 400, "invalid", "Invalid data."),
        ("sue", "post", LISTINGS, "{", {"content_type": "application/json"}, 400, "parse_error", "This is not JSON"),
        (None, "post", LISTINGS, {}, {}, 401, "not_authenticated", "credentials"),
        (None, "get", LISTINGS, {}, {"HTTP_AUTHORIZATION": "Token no"}, 401, "authentication_failed", "Invalid token"),
        (None, "get", LISTINGS, {}, {"HTTP_AUTHORIZATION": "Bearer x"}, 401, "unknown_scheme", "`Token …`"),
        ("ben", "patch", own, {}, {}, 403, "permission_denied", "Only the seller"),
        ("sue", "get", f"{LISTINGS}8/", {}, {}, 404, "not_found", "No Listing"),
        ("sue", "get", "/api/v1/x/", {}, {}, 404, "not_found", "nothing at this address"),
        ("sue", "put", own, {}, {}, 405, "method_not_allowed", "takes GET, PATCH, DELETE"),
        ("sue", "delete", LISTINGS, {}, {}, 405, "method_not_allowed", "takes GET, POST"),
        ("sue", "get", LISTINGS, {}, {"HTTP_ACCEPT": "text/html"}, 406, "not_acceptable", "application/json"),
        ("sue", "post", LISTINGS, "x" * 2_700_000, {"content_type": "application/json"}, 413, "too_large", "kB"),
        (
            "sue",
            "post",
            LISTINGS,
            "x",
            {"content_type": "text/plain"},
            415,
            "unsupported_media_type",
            "application/json",
        ),
        ("sue", "post", photos, {}, {"format": "json"}, 415, "unsupported_media_type", "multipart/form-data"),
        ("sue", "post", photos, {}, {"format": "multipart"}, 400, "invalid", "Send at least one photo"),
        ("sue", "get", f"{own}similar/", {}, {}, 503, "index_not_ready", "index"),
        (None, "post", "/api/v1/token/", {"username": "sue", "password": "x"}, {}, 400, "wrong_credentials", "account"),
    ]


@pytest.mark.parametrize("case", refusals(), ids=lambda case: f"{case[6]}-{case[1]}")
def test_a_refusal_is_a_sentence_and_a_word(seller, listing, case):
    who, verb, path, sent, more, status, code, says = case
    person = {"sue": seller, "ben": make_user("ben")}.get(who)
    client = APIClient() if "HTTP_AUTHORIZATION" in more or who is None else api(person)
    response = getattr(client, verb)(path, sent, **more)
    answer = response.json()
    assert (response.status_code, answer["code"]) == (status, code)
    assert says in answer["detail"]
    assert set(answer) - {"detail", "code", "fields"} == set(answer.get("fields", ()))


@pytest.mark.parametrize(
    ("verb", "path", "accept", "status", "says"),
    [
        ("post", "/api/docs/", "*/*", 405, "takes GET"),
        ("options", "/api/docs/", "text/html", 405, "takes GET"),
        ("get", "/api/docs/", "image/png", 406, "Answers are text/html, which"),
        ("post", "/api/schema/", "*/*", 405, "takes GET"),
        ("get", "/api/schema/", "text/html", 406, "openapi+json or application/json, which"),
        ("get", LISTINGS, "text/html", 406, "Answers are application/json, which"),
    ],
)
def test_a_refusal_is_json_also_where_answers_are_none(verb, path, accept, status, says):
    response = getattr(APIClient(), verb)(path, HTTP_ACCEPT=accept)
    assert (response.status_code, response["Content-Type"]) == (status, "application/json")
    assert says in response.json()["detail"]


def test_wrong_fields_are_named_and_stand_where_they_were_until_they_go(seller):
    response = api(seller).post(LISTINGS, {"title": "", "price": "12,50"})
    answer = response.json()
    assert answer["fields"] == {
        "title": ["This field may not be blank."],
        "price": ["Write the price as a number, such as 12.50."],
    }
    assert (answer["title"], answer["price"]) == (answer["fields"]["title"], answer["fields"]["price"])
    assert response["Deprecation"].startswith("@")
    assert response["Sunset"].endswith("GMT")
    assert "deprecation" in response["Link"]
    assert "Deprecation" not in api().post(LISTINGS, {})


@pytest.mark.parametrize(
    ("verb", "path", "knows"),
    [
        ("get", LISTINGS, "min_price, max_price"),
        ("head", LISTINGS, ""),
        ("post", LISTINGS, "no parameters"),
        ("get", f"{LISTINGS}7/", "no parameters"),
        ("patch", f"{LISTINGS}7/", "no parameters"),
        ("delete", f"{LISTINGS}7/", "no parameters"),
        ("post", f"{LISTINGS}7/images/", "no parameters"),
        ("delete", f"{LISTINGS}7/images/1/", "no parameters"),
        ("get", f"{LISTINGS}7/similar/", "min_similarity, min_probability, explain"),
        ("post", SEARCH, "crop"),
        ("post", "/api/v1/embeddings/", "no parameters"),
        ("post", "/api/v1/token/", "no parameters"),
    ],
)
def test_an_unknown_parameter_is_refused_by_name(seller, listing, verb, path, knows):
    response = getattr(api(make_user(staff=True)), verb)(f"{path}?min_prize=5")
    assert response.status_code == 400
    if verb != "head":
        assert response.json()["code"] == "unknown_parameter"
        assert "'min_prize'" in response.json()["detail"]
        assert knows in response.json()["detail"]
        assert response.json()["fields"] == {"min_prize": [response.json()["detail"]]}
    listing.refresh_from_db()
    assert listing.status == "active"


def test_every_known_parameter_of_ranked_answers_is_let_through(seller, listing):
    query = "&".join(f"{name}=" for name in RankedSerializer().fields)
    assert api(seller).get(f"{LISTINGS}7/similar/?{query}").status_code != 400


def test_pages_pass_over_what_they_do_not_know(client, listing):
    for path in ("/?utm_source=x", "/listings/7/?fbclid=y", "/search/photo/?z=1"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", [LISTINGS, f"{LISTINGS}7/"])
def test_an_unknown_field_is_refused_by_name_and_one_that_can_only_be_read_is_passed_over(seller, listing, path):
    client = api(seller)
    send = client.post if path == LISTINGS else client.patch
    answer = client.get(f"{LISTINGS}7/").json()
    assert send(path, {**answer, "title": "Sent back"}).status_code in {200, 201}
    refused = send(path, {"title": "Chair", "prize": 5, "colour": "red"})
    assert refused.status_code == 400
    assert set(refused.json()["fields"]) == {"prize", "colour"}
    assert "title, description, price" in refused.json()["fields"]["prize"][0]


def test_fields_that_are_called_as_parts_of_a_refusal_are_refused_as_any_other(seller):
    answer = api(seller).post(LISTINGS, {"title": "Chair", "detail": "oak", "code": "7", "fields": {}}).json()
    assert set(answer["fields"]) == {"detail", "code", "fields"}
    assert answer["code"] == "invalid"
    assert answer["detail"].startswith("detail: There is no such field.")


@pytest.mark.parametrize("path", [f"{LISTINGS}7/images/", SEARCH, "/api/v1/embeddings/"])
def test_an_unknown_field_of_a_form_is_refused_by_name(listing, path):
    field = "images" if "images" in path else "image"
    for name, value in (("photo", io.BytesIO(draw_photo())), ("note", "x")):
        sent = {field: io.BytesIO(draw_photo()), name: value}
        response = api(make_user(staff=True)).post(path, sent, format="multipart")
        assert (response.status_code, set(response.json()["fields"])) == (400, {name})
    assert not listing.images.exists()


@pytest.mark.parametrize("header", ["Bearer abc", "Basic eDp5", "token2 abc", "JWT"])
@pytest.mark.parametrize("path", [LISTINGS, f"{LISTINGS}7/", f"{LISTINGS}7/similar/"])
def test_credentials_of_another_kind_are_refused_and_not_passed_over(listing, header, path):
    response = APIClient().get(path, HTTP_AUTHORIZATION=header)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Token")


def test_the_way_in_looks_at_no_credentials_and_the_scheme_is_read_in_any_case(seller):
    sent = {"username": "sue", "password": "correct horse"}
    given = APIClient().post("/api/v1/token/", sent, HTTP_AUTHORIZATION="Bearer old")
    token = given.json()["token"]
    assert APIClient().post(LISTINGS, {"title": "x"}, HTTP_AUTHORIZATION=f"token {token}").status_code == 201
