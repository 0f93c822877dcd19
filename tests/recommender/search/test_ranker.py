import math

import numpy as np
import pytest

from recommender.ranker_weights import DEFAULT_WEIGHTS
from recommender.search.ranking.features import RankingQuery, compute_features
from recommender.search.ranking.ranker import compute_ranking
from tests.recommender.candidates import candidates


def ranked(weights, *entries):
    found = candidates(*entries)
    return compute_ranking(compute_features(found, RankingQuery(now=0), {}), weights, found.listing)


def test_the_score_is_the_weighted_mean_of_the_features():
    result = ranked({"similarity": 3, "photos": 1}, {"similarity": 0.5, "photos": 4})
    assert result.score[0] == pytest.approx((3 * (1 - 1 / (2 * math.sqrt(2))) + 1 * 1.0) / 4)


def test_a_perfect_candidate_scores_one():
    found = candidates({"similarity": 1.0, "category": 1, "price": 5, "latitude": 1, "longitude": 2, "photos": 9})
    query = RankingQuery(now=0, category="Home", price=5, point=(1.0, 2.0))
    ranking = compute_ranking(compute_features(found, query, {1: "Home"}), DEFAULT_WEIGHTS, found.listing)
    assert ranking.score[0] == pytest.approx(1.0)


def test_contributions_sum_to_the_score():
    result = ranked(DEFAULT_WEIGHTS, {"similarity": 0.3, "created": -9e6}, {"similarity": 0.9, "photos": 2})
    assert np.sum(list(result.contributions.values()), axis=0) == pytest.approx(result.score)


def test_best_comes_first_and_equal_scores_are_ordered_by_listing_id():
    entries = [{"listing": 9}, {"listing": 4}, {"listing": 7, "similarity": 0.9}, {"listing": 5}]
    result = ranked(DEFAULT_WEIGHTS, *entries)
    assert [entries[at]["listing"] for at in result.order] == [7, 4, 5, 9]


def test_a_feature_without_weight_changes_nothing():
    result = ranked({"photos": 1}, {"listing": 1, "similarity": 0.0, "photos": 2}, {"listing": 2, "similarity": 1.0})
    assert list(result.order) == [0, 1]
    assert set(result.contributions) == {"photos"}


def test_nothing_can_be_ranked_too():
    assert len(ranked(DEFAULT_WEIGHTS).order) == 0
