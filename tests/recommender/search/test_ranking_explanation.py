import math

import pytest

from recommender.ranker_weights import DEFAULT_WEIGHTS
from recommender.search.ranking.features import (
    RankingQuery,
    age_text,
    category_text,
    compute_features,
    distance_text,
    price_text,
    similarity_text,
)
from recommender.search.ranking.ranker import compute_ranking, explain_score
from tests.recommender.candidates import candidates

PATHS = {1: "Home / Mugs"}


def test_reasons_add_up_to_the_score_and_speak_of_the_candidate_they_belong_to():
    found = candidates(
        {"listing": 1, "similarity": 0.2},
        {"listing": 2, "similarity": 0.93, "category": 1, "price": 8.0, "latitude": 50.01799, "longitude": 0.0},
    )
    query = RankingQuery(now=3 * 86_400, category="Home / Mugs", price=10.0, point=(50.0, 0.0))
    values = compute_features(found, query, PATHS)
    ranking = compute_ranking(values, DEFAULT_WEIGHTS, found.listing)
    reasons = explain_score(1, found, query, PATHS, values, ranking)
    assert sum(reason["contribution"] for reason in reasons.values()) == pytest.approx(ranking.score[1])
    assert {name: reason["text"] for name, reason in reasons.items()} == {
        "similarity": "compared by its looks",
        "category": "same category: Mugs",
        "price": "20% cheaper",
        "distance": "2 km away",
        "age": "listed 3 days ago",
        "photos": "1 photo",
    }
    assert reasons["similarity"]["value"] == pytest.approx(1 - math.sqrt(0.14) / (2 * math.sqrt(2)))
    assert reasons["category"]["weight"] == DEFAULT_WEIGHTS["category"]
    total = sum(DEFAULT_WEIGHTS.values())
    assert reasons["category"]["contribution"] == pytest.approx(DEFAULT_WEIGHTS["category"] / total)


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (None, "compared by its looks"),
        (1.0, "looks nearly the same"),
        (0.999, "looks nearly the same"),
        (0.998, "looks very alike"),
        (0.5, "looks alike"),
        (0.499, "looks a little alike"),
        (0.0, "looks a little alike"),
    ],
)
def test_likeness_is_said_in_words_by_its_probability(probability, text):
    assert similarity_text(probability) == text


@pytest.mark.parametrize(
    ("wanted", "price", "text"),
    [
        (10, 10, "same price"),
        (10, 15, "50% dearer"),
        (10, 25, "2.5 times the price"),
        (10, 9, "10% cheaper"),
        (10, 0, "free"),
        (0, 0, "same price"),
        (0, 5, "not free"),
        (10, math.nan, "no price stated"),
        (None, 5, "no price to compare with"),
    ],
)
def test_prices_in_words(wanted, price, text):
    assert price_text(wanted, price) == text


@pytest.mark.parametrize(
    ("wanted", "path", "text"),
    [
        ("Home / Mugs", "Home / Mugs", "same category: Mugs"),
        ("Home / Mugs", "Home / Plates", "both in Home"),
        ("Home / Mugs", "Home / Mugs / Tall", "both in Home / Mugs"),
        ("Home / Mugs", "Garden", "another category: Garden"),
        ("Home / Mugs", None, "no category given"),
        (None, "Garden", "in Garden"),
    ],
)
def test_categories_in_words(wanted, path, text):
    assert category_text(wanted, path) == text


@pytest.mark.parametrize(
    ("km", "text"),
    [(0.0, "less than 1 km away"), (1.6, "2 km away"), (1234.4, "1,234 km away"), (math.nan, "distance unknown")],
)
def test_distances_in_words(km, text):
    assert distance_text(km) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "listed today"), (3600, "listed today"), (86_400, "listed 1 day ago"), (9e6, "listed 104 days ago")],
)
def test_ages_in_words(seconds, text):
    assert age_text(seconds) == text
