"""Answers say how likely a result shows the same kind of thing, and are empty where none is likely enough."""

import re

import numpy as np
import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from listings import slots
from ml.inference.calibration.calibration import Calibration as Curve
from recommender.models import Calibration
from recommender.search.ranking import ranker
from recommender.search.retrieval import (
    NOTHING_ALIKE,
    NOTHING_RECOGNISED,
    SearchRequest,
    find_similar_listings,
    search_by_vectors,
)
from tests.recommender.registered import store_curve
from tests.recommender.shop import sell, vector


def make_curve(dim):
    """Half likely at a cosine of 0.6, and `exp(2)` times more or less so with each tenth; blank along the last axis."""
    axes = np.eye(dim, dtype=np.float32)
    references = np.concatenate([axes[:2], -axes[:2]]) * np.float32(0.5)
    deviation = float(np.sqrt(1 / 8))
    return Curve(20 * deviation, -12.0, references, axes[-1:], 0.9, "labels", 1000, 0.02)


@pytest.fixture
def curve(model):
    curve = make_curve(model.dim)
    store_curve(model, curve)
    ranker.read_curve.cache_clear()
    yield curve
    ranker.read_curve.cache_clear()


def look(index, query, **ask):
    index.refresh()
    state = index.get_state()
    return search_by_vectors(state, query[np.newaxis], state.model_id, SearchRequest(**ask))


def likelihoods(answer):
    return {result.listing.title: result.probability for result in answer.results}


def test_results_carry_the_probability_of_the_models_curve(fresh_index, model, curve):
    for title, cosine in (("half", 0.6), ("likely", 0.8), ("unlikely", 0.4)):
        sell(model, cosine, title=title)
    found = likelihoods(look(fresh_index, vector(1.0, model.dim)))
    expected = {"half": 0.5, "likely": 1 / (1 + np.exp(-4)), "unlikely": 1 / (1 + np.exp(4))}
    assert found == pytest.approx(expected, abs=0.01)


def test_a_model_without_a_curve_answers_all_and_says_nothing_of_it(fresh_index, model):
    sell(model, 0.1, title="far")
    answer = look(fresh_index, vector(1.0, model.dim), min_probability=0.9)
    assert likelihoods(answer) == {"far": None}
    assert answer.note == ""


def test_what_is_not_likely_enough_is_left_out(fresh_index, model, curve):
    sell(model, 0.61, title="near")
    sell(model, 0.59, title="far")
    ask = {"min_probability": 0.5}
    assert list(likelihoods(look(fresh_index, vector(1.0, model.dim), **ask))) == ["near"]
    assert len(look(fresh_index, vector(1.0, model.dim)).results) == 2


def test_an_answer_that_is_empty_says_why_and_has_the_nearest_few_where_they_are_wanted(fresh_index, model, curve):
    for number in range(4):
        sell(model, 0.3 + number / 100, title=f"far {number}")
    answer = look(fresh_index, vector(1.0, model.dim), min_probability=0.5)
    assert (answer.results, answer.nearest, answer.note) == ([], [], NOTHING_ALIKE)
    shown = look(fresh_index, vector(1.0, model.dim), min_probability=0.5, nearest=2)
    assert (shown.results, shown.note) == ([], NOTHING_ALIKE)
    assert len(shown.nearest) == 2


def test_where_nothing_is_for_sale_nothing_is_said_of_likeness(fresh_index, model, curve):
    assert look(fresh_index, vector(1.0, model.dim), min_probability=0.5, nearest=2).note == ""


def test_a_photo_that_shows_nothing_finds_nothing_whatever_is_like_it(fresh_index, model, curve):
    sell(model, 1.0)
    blank = np.eye(model.dim, dtype=np.float32)[-1] * 0.95 + 0.3 * vector(1.0, model.dim)
    answer = look(fresh_index, blank / np.linalg.norm(blank), min_probability=0.01)
    assert (answer.results, answer.note) == ([], NOTHING_RECOGNISED)
    assert likelihoods(look(fresh_index, blank)).popitem()[1] == 0


def test_a_curve_is_read_once_for_many_answers(fresh_index, model, curve):
    listing = sell(model, 1.0)
    sell(model, 0.9)
    fresh_index.refresh()
    state = fresh_index.get_state()
    find_similar_listings(state, listing, SearchRequest(min_probability=0.5))
    with CaptureQueriesContext(connection) as queries:
        find_similar_listings(state, listing, SearchRequest(min_probability=0.5))
    assert not [query for query in queries if "recommender_calibration" in query["sql"]]


def test_a_curve_that_is_damaged_costs_probabilities_and_no_answer(fresh_index, model, curve, caplog):
    Calibration.objects.update(data=b"damaged")
    ranker.read_curve.cache_clear()
    sell(model, 0.9, title="lamp")
    assert likelihoods(look(fresh_index, vector(1.0, model.dim), min_probability=0.5)) == {"lamp": None}
    assert "run `models calibrate`" in caplog.text


class TestApi:
    def similar(self, listing, **query):
        return APIClient().get(f"/api/v1/listings/{listing.pk}/similar/", query)

    def test_says_probability_beside_similarity_and_leaves_out_by_the_sites_default(self, fresh_index, model, curve):
        listing = sell(model, 1.0)
        sell(model, 0.8, title="near")
        sell(model, 0.2, title="far")
        fresh_index.refresh()
        results = self.similar(listing).json()["results"]
        assert [result["listing"]["title"] for result in results] == ["near"]
        assert results[0]["probability"] == pytest.approx(1 / (1 + np.exp(-4)), abs=0.01)
        assert results[0]["similarity"] == pytest.approx(0.8, abs=0.01)
        assert len(self.similar(listing, min_probability="0").json()["results"]) == 2
        assert self.similar(listing, min_probability="0.999").json() | {"request_id": 0} == {
            **self.similar(listing, min_probability="0.999").json(),
            "request_id": 0,
            "results": [],
            "note": NOTHING_ALIKE,
        }

    def test_the_default_is_a_setting(self, fresh_index, model, curve, settings):
        settings.MIN_PROBABILITY = 0.0
        listing = sell(model, 1.0)
        sell(model, 0.2)
        fresh_index.refresh()
        assert len(self.similar(listing).json()["results"]) == 1

    @pytest.mark.parametrize("value", ["1.5", "-0.1", "likely", "nan"])
    def test_what_is_no_probability_is_refused(self, fresh_index, model, value):
        assert self.similar(sell(model, 1.0), min_probability=value).status_code == 400


class TestPages:
    def strip(self, listing):
        request = RequestFactory().get("/")
        request.user = AnonymousUser()
        return slots.render_slot("similar_strip", request=request, listing=listing)

    def test_show_what_is_alike(self, fresh_index, model, curve):
        listing = sell(model, 1.0)
        sell(model, 0.9, title="near")
        sell(model, 0.1, title="far")
        fresh_index.refresh()
        html = self.strip(listing)
        assert "near" in html
        assert "far" not in html

    def test_say_that_nothing_is_and_show_the_nearest_under_a_heading_of_their_own(self, fresh_index, model, curve):
        listing = sell(model, 1.0)
        for number in range(6):
            sell(model, 0.1 + number / 50, title=f"far {number}")
        fresh_index.refresh()
        html = self.strip(listing)
        assert re.search(r"Nothing here looks like it\..*<h3>The nearest there is</h3>", html, re.DOTALL)
        assert len(re.findall(r"<li>", html)) == 4

    def test_show_staff_the_probability(self, fresh_index, model, curve):
        listing = sell(model, 1.0)
        sell(model, 0.6)
        fresh_index.refresh()
        request = RequestFactory().get("/")
        request.user = AnonymousUser()
        html = slots.render_slot("admin_similar_panel", request=request, listing=listing)
        assert re.search(r"<td>0\.600</td>\s*<td>0\.5\d\d</td>", html)
        assert "looks alike" in html
