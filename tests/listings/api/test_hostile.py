"""Whatever a caller sends, the answer is JSON and no 500."""

import json

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.test import Client, RequestFactory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace.wsgi import drop_declared_charset
from tests.factories import api, make_category, make_listing, make_user

pytestmark = pytest.mark.django_db

LISTINGS = "/api/v1/listings/"
QUERY_NAMES = [
    *("q", "category", "min_price", "max_price", "near", "radius_km", "seller", "status", "ordering", "limit"),
    *("cursor", "format", "page", "q[]", ""),
]
FIELD_NAMES = [
    *("title", "description", "price", "currency", "category", "location", "latitude", "longitude", "status"),
    *("seller", "id", "images", "url", "\x00"),
]
CHARSETS = ["utf-8", "utf-16", "hex", "zlib", "rot13", "idna", "no", ""]
NASTY = st.one_of(
    st.sampled_from(
        [
            "NaN",
            "1e999",
            "-1e999",
            "\x00",
            "%00",
            "0,0",
            "nan,nan",
            "90,180",
            "active",
            "GBP",
            "Home",
            "²",
            "१२",
            "1" * 400,
        ]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=30),
)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(max_size=20),
        NASTY,
        st.just(10**400),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
few_or_many = pytest.mark.parametrize("examples", [30, pytest.param(150, marks=pytest.mark.soak)])


def fuzz(examples, try_one, **drawn):
    """Call with so many examples of what is drawn."""
    settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])(
        given(**drawn)(try_one)
    )()


@pytest.fixture(autouse=True)
def _no_rates(monkeypatch):
    from rest_framework.settings import api_settings

    monkeypatch.setattr(api_settings, "DEFAULT_THROTTLE_RATES", dict.fromkeys(api_settings.DEFAULT_THROTTLE_RATES))


@pytest.fixture
def staff():
    make_category("Home / Chairs")
    return make_user(staff=True)


@few_or_many
def test_no_query_breaks_the_list(staff, examples):
    make_listing(staff, price=5, category="Home / Chairs", latitude=1.0, longitude=1.0)

    def ask(query):
        response = api(staff).get(LISTINGS, query)
        assert response.status_code in {200, 400}
        json.loads(response.content)

    fuzz(examples, ask, query=st.dictionaries(st.sampled_from(QUERY_NAMES), NASTY, max_size=5))


@few_or_many
def test_no_json_breaks_publishing_or_changing(staff, examples):
    listing = make_listing(staff)
    client = api(staff)

    def send(body):
        data = json.dumps(body)
        for response in (
            client.generic("POST", LISTINGS, data, content_type="application/json"),
            client.generic("PATCH", f"{LISTINGS}{listing.pk}/", data, content_type="application/json"),
            client.generic("POST", "/api/v1/token/", data, content_type="application/json"),
        ):
            assert response.status_code in {200, 201, 400}, response.content
            json.loads(response.content)

    fuzz(examples, send, body=st.one_of(JSON, st.dictionaries(st.sampled_from(FIELD_NAMES), JSON, max_size=6)))


@few_or_many
def test_no_bytes_and_no_charset_break_the_parsers(staff, examples):
    if connection.vendor == "postgresql":
        pytest.skip("What is parsed never reaches the database, and is parsed on SQLite.")
    client = api(staff)

    def send(body, charset):
        for content_type in ("application/json", "multipart/form-data; boundary=B", "text/plain", "a/b/c", ";"):
            response = client.generic("POST", LISTINGS, body, content_type=f"{content_type}; charset={charset}")
            assert response.status_code in {201, 400, 415}, response.content
            json.loads(response.content)

    fuzz(examples, send, body=st.binary(max_size=60), charset=st.sampled_from(CHARSETS))


@pytest.mark.parametrize("charset", ["hex", "zlib", "rot13", "utf-7", "undefined"])
def test_a_charset_that_is_no_text_does_not_break_a_query(charset):
    environ = RequestFactory().get("/", {"q": "é"}).environ
    environ["CONTENT_TYPE"] = f"text/plain; Charset={charset}; a=b"
    app = drop_declared_charset(
        lambda given, start: [WSGIRequest(given).GET["q"].encode(), str(given["CONTENT_TYPE"]).encode()]
    )
    assert list(app(environ, print)) == ["é".encode(), b"text/plain; a=b"]


def nested(field: str, levels: int) -> bytes:
    """A listing with a field of so many levels, which lie in the object around them."""
    return b'{"title": "x", "%s": %s%s}' % (field.encode(), b"[" * levels, b"]" * levels)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b'{"title": NaN}', 400),
        (b'{"price": 1e400, "title": "x"}', 400),
        (b'{"price": ' + b"9" * 5000 + b', "title": "x"}', 400),
        (b'{"title": "\\ud800"}', 400),
        (b'{"\\udfff": 1, "title": "x"}', 400),
        (b'{"status": "\\ud800", "title": "x"}', 400),
        (b'{"title": "\\u0000"}', 400),
        (b'{"title": "\xff"}', 400),
        (b'"' + b"x" * 2_700_000 + b'"', 413),
        (b"[1]", 400),
        (b"null", 400),
        (nested("images", 63), 201),
        (nested("images", 64), 400),
        (nested("status", 63), 400),
    ],
    ids=range(17),
)
def test_a_body_that_is_no_listing_is_refused(staff, body, status):
    response = api(staff).generic("POST", LISTINGS, body, "application/json", headers={"Idempotency-Key": "a"})
    assert response.status_code == status
    assert response.json()


def test_a_pair_of_surrogates_is_one_character(staff):
    body = b'{"title": "\\ud83e\\ude91"}'
    response = api(staff).generic("POST", LISTINGS, body, content_type="application/json")  # type: ignore[arg-type]
    assert response.json()["title"] == "🪑"


@pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing/", "/api/v1/%00/", "/api/%ff"])
def test_an_unknown_address_is_answered_in_json(path):
    response = api().post(path, {})
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_an_unknown_host_is_answered_in_json():
    response = Client().get(LISTINGS, headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert response.json() == {"detail": "This request is malformed.", "code": "malformed"}


@pytest.mark.parametrize("accept", ["text/html", "*/*", "application/xml", "x", "application/json; q=x", "\x7f"])
def test_an_accept_header_changes_nothing_but_the_refusal(accept):
    assert Client().get(LISTINGS, headers={"Accept": accept}).status_code in {200, 406}
