"""How much of the exact answer was found: the arithmetic, ties included."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.index.ann.recall import recall_of_listings, recall_of_similarities
from tests.recommender.candidates import listings_found


def slow_recall(catalogue: dict[int, float], found: set[int], k: int) -> float:
    """The most that `found` has of any right answer: any k listings than which none left out is more alike."""
    k = min(k, len(catalogue))
    best = 0.0
    for chosen in itertools.combinations(catalogue, k):
        left_out = [catalogue[listing] for listing in catalogue if listing not in chosen]
        if max(left_out, default=-2.0) <= min(catalogue[listing] for listing in chosen):
            best = max(best, len(found.intersection(chosen)) / k)
    return best


def test_recall_is_that_of_a_slow_obvious_version_ties_included():
    dice = np.random.default_rng(5)
    seen = set()
    for _ in range(400):
        size, k = int(dice.integers(1, 8)), int(dice.integers(1, 8))
        everything = {int(listing): float(dice.integers(0, 4)) / 4 for listing in dice.permutation(50)[:size]}
        exact = dict(sorted(everything.items(), key=lambda entry: (-entry[1], entry[0]))[:k])
        found = dice.permutation(list(everything))[: dice.integers(0, min(k, size) + 1)].tolist()
        rounding = {listing: everything[listing] + dice.uniform(-3e-7, 3e-7) for listing in found}
        expected = slow_recall(everything, set(found), k)
        assert recall_of_listings(listings_found(rounding), listings_found(exact)) == pytest.approx(expected)
        seen.add((expected, len(set(everything.values())) < len(everything)))
    assert len(seen) > 15  # the dice made many different cases


@pytest.mark.parametrize(
    ("found", "exact", "recall"),
    [
        ({1: 0.9, 2: 0.8}, {1: 0.9, 2: 0.8}, 1.0),
        ({1: 0.9, 3: 0.7}, {1: 0.9, 2: 0.8}, 0.5),
        ({}, {1: 0.9, 2: 0.8}, 0.0),
        ({2: 0.8}, {1: 0.9}, 0.0),
        ({2: 0.9 - 5e-7}, {1: 0.9}, 1.0),
        ({2: 0.9 - 5e-6}, {1: 0.9}, 0.0),
        ({1: 0.9, 3: 0.8, 4: 0.8, 5: 0.8}, {1: 0.9, 2: 0.8}, 1.0),  # no more ties count than there is room for
        ({3: 0.8, 4: 0.8}, {1: 0.9, 2: 0.8}, 0.5),
        ({3: 0.95, 4: 0.94}, {1: 0.9, 2: 0.8}, 0.0),  # more alike than the best is a lie
        ({1: 0.8, 5: 0.1}, {1: 0.9, 2: 0.8}, 0.5),  # a needed listing is no tie as well
    ],
)
def test_recall_in_cases_one_can_count(found, exact, recall):
    assert recall_of_listings(listings_found(found), listings_found(exact)) == recall


def test_where_nothing_is_to_be_found_there_is_no_recall():
    assert recall_of_listings(listings_found({}), listings_found({})) is None


@pytest.mark.parametrize(
    ("found", "truth", "recall"),
    [
        ([0.9, 0.8, 0.7], [0.9, 0.8, 0.7], 1),
        ([0.9, 0.7, 0.6], [0.9, 0.8, 0.7], 2 / 3),
        ([0.9, 0.9, 0.9], [0.9, 0.9, 0.9], 1),
        ([0.9, 0.5, 0.5], [0.9, 0.5, 0.5], 1),  # which of many equal ones was found does not matter
        ([0.5, 0.5, 0.4], [0.9, 0.5, 0.5], 2 / 3),
        ([0.9, 0.8, 0.7, 0.6], [0.9, 0.8], 1),
        ([0.9], [0.9, 0.8], 1 / 2),
        ([], [0.9, 0.8], 0),
        ([0.9], [], 1),
        ([0.3, 0.2], [0.9, 0.8], 0),
        ([0.8999997], [0.9], 1),  # by rounding
    ],
)
def test_recall_is_the_share_that_is_as_similar_as_the_last_of_the_truth(found, truth, recall):
    assert recall_of_similarities(np.array(found, np.float32), np.array(truth, np.float32)) == pytest.approx(recall)


@given(st.lists(st.integers(0, 6) | st.integers(0, 10_000), min_size=1, max_size=40), st.integers(1, 15), st.randoms())
def test_recall_is_the_overlap_with_the_truth_and_more_only_where_rows_tie_with_its_last(values, k, random):
    order = sorted(values, reverse=True)
    truth = order[:k]
    found = sorted(random.sample(order, min(k, len(order))), reverse=True)
    overlap = sum((Counter(found) & Counter(truth)).values()) / len(truth)
    recall = recall_of_similarities(np.array(found, np.float32), np.array(truth, np.float32))
    assert overlap - 1e-9 <= recall <= 1
    if truth[-1] not in order[k:]:
        assert recall == pytest.approx(overlap)
