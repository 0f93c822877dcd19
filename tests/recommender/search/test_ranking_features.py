import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.ranker_weights import DEFAULT_WEIGHTS
from recommender.search.ranking.features import NEUTRAL, RankingQuery, compute_features
from recommender.search.ranking.ranker import compute_ranking
from tests.listings.geometry import distance_km
from tests.recommender.candidates import candidates

PATHS = {1: "Home", 2: "Home / Chairs", 3: "Home / Chairs / Stools", 4: "Garden", 5: "Home / Tables"}
DAY = 86_400


def one(name: str, query: RankingQuery, **entry) -> float:
    return float(compute_features(candidates(entry), query, PATHS)[name][0])


@pytest.mark.parametrize(
    ("cosine", "farthest", "value"),
    [
        (1.0, 1.0, 1.0),
        (0.5, 1.0, NEUTRAL),
        (0.5, 2.0, 0.75),
        (0.0, math.sqrt(2), NEUTRAL),
        (-1.0, 0.5, 0.0),
        (1.0001, 1.0, 1.0),
        (1.0, 0.0, 1.0),
        (0.9, 0.0, 0.0),
    ],
    ids=str,
)
def test_similarity_is_one_for_the_same_picture_and_neutral_at_the_farthest_candidate(cosine, farthest, value):
    assert one("similarity", RankingQuery(now=0, farthest=farthest), similarity=cosine) == pytest.approx(value)


def test_an_almost_identical_picture_stands_out_even_where_all_cosines_are_close_to_one():
    """As under an untrained model: a copy at 0.99997, its neighbours from 0.9997 down to 0.9985."""
    found = candidates({"similarity": 0.99997}, {"similarity": 0.9997, "photos": 9, "created": 0})
    values = compute_features(found, RankingQuery(now=0, farthest=math.sqrt(2 - 2 * 0.9985)), PATHS)
    ranking = compute_ranking(values, DEFAULT_WEIGHTS, found.listing)
    assert ranking.score[0] > ranking.score[1]


@pytest.mark.parametrize(
    ("wanted", "category", "value"),
    [
        ("Home / Chairs", 2, 1.0),
        ("Home / Chairs", 5, 1 / 2),
        ("Home / Chairs", 1, 1 / 2),
        ("Home / Chairs", 3, 2 / 3),
        ("Home", 3, 1 / 3),
        ("Home / Chairs", 4, 0.0),
        ("Home / Chairs", -1, NEUTRAL),
        ("Home / Chairs", 99, NEUTRAL),
        (None, 2, NEUTRAL),
    ],
)
def test_category_closeness_is_shared_depth_over_the_deeper_depth(wanted, category, value):
    assert one("category", RankingQuery(now=0, category=wanted), category=category) == pytest.approx(value)


@pytest.mark.parametrize(
    ("wanted", "price", "value"),
    [
        (10.0, 10.0, 1.0),
        (9.0, 19.0, 0.5),
        (19.0, 9.0, 0.5),
        (0.0, 0.0, 1.0),
        (0.0, 3.0, 0.25),
        (10.0, math.nan, NEUTRAL),
        (None, 10.0, NEUTRAL),
    ],
)
def test_price_closeness_is_cheaper_over_dearer(wanted, price, value):
    assert one("price", RankingQuery(now=0, price=wanted), price=price) == pytest.approx(value)


def test_distance_halves_every_twenty_kilometres_and_is_neutral_where_unknown():
    north = 20 / 111.195
    query = RankingQuery(now=0, point=(50.0, 0.0))
    assert one("distance", query, latitude=50.0, longitude=0.0) == 1.0
    assert one("distance", query, latitude=50.0 + north, longitude=0.0) == pytest.approx(0.5, abs=1e-4)
    assert one("distance", query, latitude=50.0 - 2 * north, longitude=0.0) == pytest.approx(0.25, abs=1e-4)
    assert one("distance", query) == NEUTRAL
    assert one("distance", RankingQuery(now=0), latitude=50.0, longitude=0.0) == NEUTRAL


def test_age_halves_every_thirty_days_and_the_future_counts_as_now():
    assert one("age", RankingQuery(now=30 * DAY), created=30 * DAY) == 1.0
    assert one("age", RankingQuery(now=30 * DAY), created=0) == pytest.approx(0.5)
    assert one("age", RankingQuery(now=60 * DAY), created=0) == pytest.approx(0.25)
    assert one("age", RankingQuery(now=0), created=5 * DAY) == 1.0


def test_photos_count_up_to_four():
    assert [one("photos", RankingQuery(now=0), photos=n) for n in (0, 1, 3, 4, 10)] == [0.0, 0.25, 0.75, 1.0, 1.0]


def test_no_candidates_have_no_features():
    result = compute_features(candidates(), RankingQuery(now=0, category="Home", price=1.0, point=(0.0, 0.0)), PATHS)
    assert {name: values.shape for name, values in result.items()} == dict.fromkeys(DEFAULT_WEIGHTS, (0,))


MAYBE_PRICE = st.none() | st.floats(0, 1e9)
POINT = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
ENTRY = st.fixed_dictionaries(
    {
        "listing": st.integers(1, 10**9),
        "similarity": st.floats(-1, 1, width=32),
        "category": st.sampled_from([-1, *PATHS]),
        "price": st.just(math.nan) | st.floats(0, 1e9),
        "latitude": st.floats(-90, 90),
        "longitude": st.floats(-180, 180),
        "created": st.floats(0, 2e9),
        "photos": st.integers(1, 10),
    }
)
QUERY = st.builds(
    RankingQuery,
    now=st.floats(0, 2e9),
    category=st.none() | st.sampled_from(list(PATHS.values())),
    price=MAYBE_PRICE,
    point=st.none() | POINT,
    farthest=st.floats(1, 2),
)


def slow(entry: dict, query: RankingQuery) -> dict[str, float]:
    """The same six numbers, one candidate at a time, from the formulas in words."""
    path = PATHS.get(entry["category"])
    category = NEUTRAL
    if query.category is not None and path is not None:
        ours, theirs = query.category.split(" / "), path.split(" / ")
        shared = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
        shared = min(len(ours), len(theirs)) if shared is None else shared
        category = shared / max(len(ours), len(theirs))
    price = NEUTRAL
    if query.price is not None and not math.isnan(entry["price"]):
        price = math.exp(-abs(math.log((entry["price"] + 1) / (query.price + 1))))
    distance = NEUTRAL
    if query.point is not None:
        distance = math.exp(-math.log(2) * distance_km(query.point, (entry["latitude"], entry["longitude"])) / 20)
    return {
        "similarity": 1 - math.sqrt(2 - 2 * entry["similarity"]) / 2 / query.farthest,
        "category": category,
        "price": price,
        "distance": distance,
        "age": math.exp(-math.log(2) * max(0.0, query.now - entry["created"]) / DAY / 30),
        "photos": min(4, entry["photos"]) / 4,
    }


@given(st.lists(ENTRY, max_size=12), QUERY)
def test_the_arrays_equal_the_slow_obvious_version_and_stay_within_0_and_1(entries, query):
    fast = compute_features(candidates(*entries), query, PATHS)
    for at, entry in enumerate(entries):
        expected = slow(entry, query)
        assert {name: float(values[at]) for name, values in fast.items()} == pytest.approx(expected, abs=1e-7)
    assert all(((values >= 0) & (values <= 1)).all() for values in fast.values())


@given(ENTRY, QUERY, st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_price_nearer_to_the_wanted_one_never_ranks_lower(entry, query, wanted, other):
    query = replace(query, price=wanted)
    halfway = (wanted + other) / 2
    near, far = compute_features(candidates(entry | {"price": halfway}, entry | {"price": other}), query, PATHS)[
        "price"
    ]
    assert near >= far


@given(ENTRY, QUERY, st.data())
def test_improving_any_one_thing_never_lowers_the_score(entry, query, data):
    better = data.draw(
        st.sampled_from(
            [
                {"similarity": np.nextafter(np.float32(entry["similarity"]), np.float32(1))},
                {"created": query.now},
                {"photos": entry["photos"] + 1},
                {"price": math.nan if query.price is None else query.price},
                {"latitude": query.point[0], "longitude": query.point[1]} if query.point else {},
            ]
        )
    )
    both = candidates(entry, entry | better)
    ranking = compute_ranking(compute_features(both, query, PATHS), DEFAULT_WEIGHTS, both.listing)
    assert ranking.score[1] >= ranking.score[0] - 1e-12
