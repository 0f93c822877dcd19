"""The API page is all a developer reads: it is complete, valid, and served from bundled files."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from marketplace.description import DescriptionGenerator
from marketplace.docs import SchemaView

CALLS = {
    ("/api/v1/token/", "post"),
    ("/api/v1/token/", "delete"),
    ("/api/v1/tokens/", "get"),
    ("/api/v1/tokens/{token_id}/", "delete"),
    ("/api/v1/listings/", "get"),
    ("/api/v1/listings/", "post"),
    ("/api/v1/listings/{listing_id}/", "get"),
    ("/api/v1/listings/{listing_id}/", "patch"),
    ("/api/v1/listings/{listing_id}/", "delete"),
    ("/api/v1/listings/{listing_id}/images/", "post"),
    ("/api/v1/listings/{listing_id}/images/{image_id}/", "delete"),
    ("/api/v1/listings/{listing_id}/similar/", "get"),
    ("/api/v1/search/image/", "post"),
    ("/api/v1/embeddings/", "post"),
}


@pytest.fixture(scope="module")
def schema():
    return DescriptionGenerator().get_schema(request=None, public=True)


def operations(schema):
    return {(path, verb): call for path, verbs in schema["paths"].items() for verb, call in verbs.items()}


def test_the_schema_is_valid_and_made_without_a_warning(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))
    assert (tmp_path / "schema.yml").stat().st_size > 10_000


def test_every_call_is_there_and_no_other(schema):
    assert set(operations(schema)) == CALLS


def test_every_call_says_what_it_does_and_how_it_refuses(schema):
    for (_, verb), call in operations(schema).items():
        assert call["summary"]
        assert call["tags"]
        assert {"414", "429", "431", "503"} | ({"507"} if verb != "get" else set()) <= set(call["responses"])
        assert {"408", "413", "415"} <= set(call["responses"]) or "requestBody" not in call
        assert all(response.get("description") is not None for response in call["responses"].values())


def test_every_call_but_the_way_in_says_how_it_refuses_a_wrong_token(schema):
    silent = {call for call, described in operations(schema).items() if "401" not in described["responses"]}
    assert silent <= {("/api/v1/token/", "post")}


def test_every_filter_is_explained(schema):
    parameters = {p["name"]: p for p in operations(schema)["/api/v1/listings/", "get"]["parameters"]}
    assert set(parameters) == {
        *("q", "category", "min_price", "max_price", "near", "radius_km", "seller", "status"),
        *("ordering", "limit", "cursor"),
    }
    assert all(parameter["description"] for parameter in parameters.values())
    assert parameters["limit"]["schema"]["maximum"] == 100
    assert parameters["ordering"]["schema"]["enum"] == ["-created", "price", "-price"]


def test_photos_are_sent_as_files(schema):
    body = operations(schema)["/api/v1/listings/{listing_id}/images/", "post"]["requestBody"]["content"]
    assert list(body) == ["multipart/form-data"]
    reference = body["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]
    images = schema["components"]["schemas"][reference]["properties"]["images"]
    assert images["items"] == {"type": "string", "format": "binary"}


def test_a_photo_that_shows_nothing_is_refused_where_its_vector_is_asked_for(schema):
    refusals = operations(schema)["/api/v1/embeddings/", "post"]["responses"]
    assert "`too_small`, `one_colour`" in refusals["415"]["description"]


def test_what_is_read_only_is_not_asked_for(schema):
    request = schema["components"]["schemas"]["ListingRequest"]["properties"]
    assert not {"id", "url", "seller", "created_at", "images"} & set(request)
    assert "currency" in request


@pytest.mark.django_db
def test_the_schema_is_served():
    response = Client().get("/api/schema/", headers={"Accept": "application/json"})
    assert response.status_code == 200
    assert set(response.json()["paths"]) == {path for path, _ in CALLS}


def test_the_schema_is_made_by_one_thread_at_a_time(rf):
    """What drf-spectacular looks up when it is first asked made the schema fail for those who asked meanwhile."""
    making, most = [], []

    class Slow(SchemaGenerator):
        def get_schema(self, *args, **kwargs):
            making.append(1)
            most.append(len(making))
            time.sleep(0.02)
            making.pop()
            return {}

    view = SchemaView.as_view(generator_class=Slow)
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: view(rf.get("/api/schema/")).status_code, range(4)))
    assert codes == [200] * 4
    assert max(most) == 1


@pytest.mark.django_db
def test_the_page_refuses_what_is_no_reading():
    assert [Client().generic(verb, "/api/docs/").status_code for verb in ("OPTIONS", "POST")] == [405, 405]


def test_the_page_loads_nothing_from_elsewhere_and_every_file_it_names_is_bundled():
    html = Client().get("/api/docs/").content.decode()
    assert "http://" not in html
    assert "https://" not in html
    assert "<script>" not in html
    files = re.findall(r'(?:src|href)="/static/([^"?]+)', html)
    assert len(files) >= 4
    assert all(finders.find(file) for file in files)
    script = re.search(r'src="(/api/docs/\?script=)"', html)
    assert script
    assert "SwaggerUIBundle" in Client().get(script[1]).content.decode()
