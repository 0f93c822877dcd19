import uuid

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from listings.models import Listing
from recommender.index import compact
from recommender.models import EmbeddingModel
from recommender.search.ranking import ranker
from tests.factories import draw_photo, make_category, make_image, make_listing, make_user
from tests.recommender.shop import sell, vector

WORDS = {"similarity", "category", "price", "distance", "age", "photos"}


def get(listing, user=None, **params):
    client = APIClient()
    client.force_authenticate(user)
    pk = getattr(listing, "pk", listing)
    return client.get(f"/api/v1/listings/{pk}/similar/", params)


@pytest.fixture
def chair(fresh_index, model):
    """A chair for sale beside two other chairs and a plant."""
    chair = sell(model, 1.0, category="Home / Chairs", price=40, latitude=51.5, longitude=-0.12)
    sell(model, 0.9, category="Home / Chairs", price=50, title="stool", latitude=51.6, longitude=-0.12)
    sell(model, 0.8, category="Home / Chairs", price=20, title="bench")
    sell(model, 0.7, category="Plants", title="fern")
    sell(model, 0.95, category="Home / Chairs", status="sold", title="throne")
    sell(model, 0.95, category="Home / Chairs", status="draft", title="sketch")
    fresh_index.refresh()
    return chair


def titles(response) -> list[str]:
    assert response.status_code == 200, response.content
    return [result["listing"]["title"] for result in response.json()["results"]]


def test_an_answer_names_what_made_it_and_ranks_listings_as_lists_show_them(chair, fresh_index):
    response = get(chair)
    answer = response.json()
    assert list(answer) == ["request_id", "model", "ranker", "index", "results"]
    assert uuid.UUID(answer["request_id"])
    assert (answer["model"], answer["ranker"]) == ("m1", "linear-1")
    assert answer["index"] == {"snapshot": None, "rows": 6, "behind": 0}
    first = answer["results"][0]
    assert list(first) == ["rank", "listing", "score", "similarity", "probability"]
    assert [result["rank"] for result in answer["results"]] == [1, 2, 3]
    shown = APIClient().get("/api/v1/listings/").json()["results"]
    assert first["listing"] == next(listing for listing in shown if listing["title"] == "stool")


def same_shape(shown, real) -> bool:
    """Whether an example has keys and types of a real answer. Null says nothing; of a list, the first counts."""
    if shown is None or real is None:
        return True
    if isinstance(shown, dict):
        shared = {name for name in shown if name in real}
        return shared == set(shown) and all(same_shape(shown[name], real[name]) for name in shared)
    if isinstance(shown, list):
        return isinstance(real, list) and (not (shown and real) or same_shape(shown[0], real[0]))
    number = isinstance(shown, int | float) and isinstance(real, int | float)
    return number or type(shown) is type(real)


def examples(schema, path, verb, status):
    content = schema["paths"][path][verb]["responses"][status]["content"]["application/json"]
    return [one["value"] for one in content["examples"].values()]


def test_the_examples_of_the_documentation_are_such_as_real_answers(chair):
    schema = SchemaGenerator().get_schema(request=None, public=True)
    staff = APIClient()
    staff.force_authenticate(make_user(staff=True))
    photos = f"/api/v1/listings/{chair.pk}/images/"
    files = [SimpleUploadedFile("a.jpg", draw_photo(size=(99, 99))), SimpleUploadedFile("b.jpg", b"no photo" * 99)]
    real = {
        ("/api/v1/listings/{listing_id}/similar/", "get", "200"): get(chair, explain=1),
        ("/api/v1/listings/{listing_id}/images/", "post", "201"): staff.post(
            photos, {"images": files}, format="multipart"
        ),
        ("/api/v1/listings/", "post", "400"): staff.post("/api/v1/listings/", {"title": "Chair", "price": "12,50"}),
        ("/api/v1/listings/", "post", "401"): APIClient().post("/api/v1/listings/", {}),
        ("/api/v1/listings/{listing_id}/", "get", "404"): get(0),
    }
    for (path, verb, status), response in real.items():
        answer = response.json()
        assert str(response.status_code) == status, answer
        for example in examples(schema, path, verb, status):
            assert same_shape(example, answer), (example, answer)
            if isinstance(example, dict) and "code" in example:
                assert set(answer) == set(example)
                assert example["code"] == answer["code"]


def test_the_request_id_is_the_one_in_the_log(chair, caplog):
    with caplog.at_level("INFO", "django_structlog"):
        answer = get(chair).json()
    assert caplog.records[-1].msg["request_id"] == answer["request_id"]


def test_explain_adds_reasons_that_sum_to_the_score(chair):
    for result in get(chair, explain="1").json()["results"]:
        reasons = result["reasons"]
        assert set(reasons) == WORDS
        assert sum(reason["contribution"] for reason in reasons.values()) == pytest.approx(result["score"])
        assert all(list(reason) == ["value", "weight", "contribution", "text"] for reason in reasons.values())


def test_explain_says_what_was_searched_and_how(chair):
    assert "plan" not in get(chair).json()["index"]
    assert "plan" not in get(chair, explain="0").json()["index"]
    index = get(chair, explain="1").json()["index"]
    assert list(index) == ["snapshot", "rows", "behind", "plan"]
    assert index["plan"] == [{"place": "delta", "how": "exact", "selected": 3, "compared": 3, "lists": 0}]
    assert get(chair, explain="1", category="Plants").json()["index"]["plan"][0]["selected"] == 1
    make_category("Empty")
    assert get(chair, explain="1", category="Empty").json()["index"]["plan"] == []


def test_the_plan_has_each_segment_and_photo_of_the_query_and_the_delta(chair, model, fresh_index):
    asked = sell(model, 1.0, 0.5)
    compact(force=True)
    sell(model, 0.3)
    fresh_index.refresh()
    plan = get(asked, explain="1").json()["index"]["plan"]
    segment = {"place": plan[0]["place"], "how": "exact", "selected": 4, "compared": 4, "lists": 0}
    assert plan == [segment, segment, {"place": "delta", "how": "exact", "selected": 1, "compared": 1, "lists": 0}]


def test_a_search_that_was_repeated_adds_to_the_plan(chair, fresh_index, monkeypatch):
    monkeypatch.setattr("recommender.search.retrieval.CANDIDATES", 1)
    monkeypatch.setattr("recommender.search.retrieval.CANDIDATES_PER_RESULT", 1)
    Listing.objects.filter(title="stool").update(status="sold")
    answer = get(chair, explain="1", limit=1).json()
    assert len(answer["results"]) == 1
    assert [step["selected"] for step in answer["index"]["plan"]] == [3, 2]


def test_nobody_puts_reasons_into_words_that_were_not_asked_for(chair, monkeypatch):
    def explain(*args):
        raise AssertionError

    monkeypatch.setattr("recommender.search.retrieval.explain_score", explain)
    assert len(get(chair).json()["results"]) == 3
    with pytest.raises(AssertionError):
        get(chair, explain="1")


def test_an_answer_costs_five_queries_however_long_it_is(chair, model, django_assert_num_queries):
    ranker.scale_query(model.pk, vector(1.0, model.dim)[np.newaxis])  # its curve is read once a minute
    url = f"/api/v1/listings/{chair.pk}/similar/"
    for limit in (1, 3):
        with django_assert_num_queries(5):  # the listing, ranker, paths, listings with theirs, photos
            answer = APIClient().get(url, {"limit": limit, "explain": "1"}).json()
        assert len(answer["results"]) == limit


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, {"stool", "bench", "fern"}),
        ({"category": "Home"}, {"stool", "bench"}),
        ({"category": "Plants"}, {"fern"}),
        ({"category": "Empty"}, set()),
        ({"min_price": "20.01"}, {"stool"}),
        ({"max_price": "20"}, {"bench"}),
        ({"near": "51.5,-0.12", "radius_km": "15"}, {"stool"}),
        ({"near": "51.5,-0.12"}, set()),
        ({"limit": "1"}, {"stool"}),
        ({"min_similarity": "0.75"}, {"stool", "bench"}),
        ({"status": "sold"}, {"throne"}),
        ({"near": "", "category": ""}, {"stool", "bench", "fern"}),
    ],
    ids=lambda value: "-".join(sorted(value)) or "none",
)
def test_filters_narrow_the_answer(chair, params, expected):
    make_category("Empty")
    assert set(titles(get(chair, **params))) == expected


def test_the_seller_filter_keeps_one_sellers_listings(chair, model, fresh_index):
    seller = make_user()
    sell(model, 0.3, seller=seller, title="mirror")
    fresh_index.refresh()
    assert titles(get(chair, seller=seller.pk)) == ["mirror"]
    assert titles(get(chair, seller=2**40)) == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"min_similarity": "nan"}, "min_similarity"),
        ({"min_similarity": "1.5"}, "min_similarity"),
        ({"min_price": "nan"}, "min_price"),
        ({"max_price": "1e400"}, "max_price"),
        ({"near": "51.5"}, "near"),
        ({"radius_km": "4"}, "radius_km"),
        ({"seller": "-1"}, "seller"),
        ({"status": "removed"}, "status"),
        ({"status": "draft"}, "status"),
        ({"category": "Home / Sofas"}, "category"),
        ({"category": "\x00"}, "category"),
        ({"explain": "perhaps"}, "explain"),
    ],
    ids=str,
)
def test_bad_input_is_refused_by_field(chair, params, field):
    response = get(chair, **params)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [field]


def test_only_staff_finds_drafts(chair):
    assert titles(get(chair, make_user(staff=True), status="draft")) == ["sketch"]
    assert get(chair, chair.seller, status="draft").status_code == 400


def test_a_sold_listing_may_be_asked_about_and_a_draft_by_its_owner_and_staff(chair, model, fresh_index):
    sold, draft = sell(model, 0.5, status="sold"), sell(model, 0.5, status="draft")
    removed = sell(model, 0.5, status="removed")
    fresh_index.refresh()
    staff, stranger = make_user(staff=True), make_user()
    allowed = {
        (name, who): get(listing, user).status_code
        for name, listing in (("sold", sold), ("draft", draft), ("removed", removed))
        for who, user in (
            ("visitor", None),
            ("stranger", stranger),
            ("owner", listing.seller),
            ("staff", staff),
        )
    }
    assert {cell for cell, status in allowed.items() if status == 200} == {
        *(("sold", who) for who in ("visitor", "stranger", "owner", "staff")),
        ("draft", "owner"),
        ("draft", "staff"),
        ("removed", "staff"),
    }
    assert set(allowed.values()) == {200, 404}


@pytest.mark.parametrize("pk", [0, 10**30, 424242])
def test_a_listing_that_does_not_exist_is_not_found(chair, pk):
    assert get(pk).status_code == 404


def test_a_photo_that_waits_is_a_conflict_with_a_time_to_come_back(chair):
    listing = make_listing()
    make_image(listing)
    response = get(listing)
    assert (response.status_code, response["Retry-After"]) == (409, "1")
    assert response.json()["code"] == "photo_waiting"


def test_without_a_usable_photo_there_is_nothing_to_wait_for(chair):
    bare, refused = make_listing(), make_listing()
    make_image(refused, state="rejected")
    for listing in (bare, refused):
        response = get(listing)
        assert (response.status_code, response.json()["code"]) == (409, "no_photo")
        assert "Retry-After" not in response
        assert response.json()["detail"].endswith(".")


def test_without_an_active_model_the_index_is_not_ready(fresh_index):
    response = get(make_listing())
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert response.json()["code"] == "index_not_ready"


def test_a_listing_is_answered_under_the_model_of_the_index_only(chair, fresh_index):
    EmbeddingModel.objects.create(version="m2", arch="fake", dim=8, checkpoint="m2", sha256="0" * 64, state="standby")
    assert get(chair).json()["model"] == "m1"


def test_other_verbs_are_not_offered(chair):
    client = APIClient()
    client.force_authenticate(make_user(staff=True))
    url = f"/api/v1/listings/{chair.pk}/similar/"
    assert [getattr(client, verb)(url).status_code for verb in ("post", "put", "patch", "delete")] == [405] * 4
