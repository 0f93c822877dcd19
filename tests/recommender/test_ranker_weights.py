import math

import pytest

from recommender.ranker_weights import WeightsInvalid, check_weights


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ([1, 2], "Weights are an object"),
        ("similarity", "Weights are an object"),
        ({"colour": 1}, "no feature called colour; the features are similarity, category"),
        ({"similarity": "high"}, "weight of similarity must be a number, not 'high'"),
        ({"similarity": True}, "must be a number"),
        ({"similarity": None}, "must be a number"),
        ({"price": -0.1}, "weight of price must lie between 0 and 1000, not -0.1"),
        ({"price": math.nan}, "must lie between"),
        ({"price": math.inf}, "must lie between"),
        ({"price": 10**400}, "must lie between"),
        ({}, "At least one weight must be greater than zero"),
        ({"similarity": 0, "price": 0.0}, "At least one weight must be greater than zero"),
    ],
)
def test_weights_that_cannot_order_are_refused_in_words(weights, says):
    with pytest.raises(WeightsInvalid, match=says):
        check_weights(weights)


def test_good_weights_pass_as_floats():
    assert check_weights({"similarity": 2, "price": 0}) == {"similarity": 2.0, "price": 0.0}
