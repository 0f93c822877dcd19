"""Conditions on whole columns let the same rows pass as the obvious question to one row after the other."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from listings.finding.filterable import STATUSES, Filter
from listings.finding.geo import EARTH_RADIUS_KM, box_around, haversine_km
from recommender.index.rows import filter as module
from recommender.index.rows.columns import Columns
from recommender.index.rows.filter import filter_selection, mask_rows
from recommender.index.rows.row_bitmap import RowBitmap
from tests.listings.geometry import distance_km
from tests.recommender.index.segments import plain_columns, with_values

PLACES = [(51.5, -0.12), (51.52, -0.1), (52.2, 0.12), (-36.8, 174.8), (0.0, 179.99), (0.0, -179.99), (89.99, 10.0)]
PLACES += [(89.99, -170.0), (-90.0, 0.0), (-89.95, 100.0)]
HIGHEST = 30_000


def random_columns(seed, rows):
    random = np.random.default_rng(seed)
    places = np.array([*PLACES, (np.nan, np.nan)])[random.integers(len(PLACES) + 1, size=rows)]
    return Columns(
        listing=np.arange(rows),
        image=np.arange(rows),
        category=random.choice([-1, 1, 2, 3, 7, HIGHEST], rows).astype(np.int32),
        price=random.choice([-1, 0, 1, 115, 999, 1_000], rows),
        latitude=places[:, 0],
        longitude=places[:, 1],
        created=random.integers(0, 5, rows).astype(float),
        seller=random.integers(1, 25, rows),
        status=random.integers(len(STATUSES), size=rows).astype(np.int8),
    )


def passes(where, columns, row):
    """All but the status."""
    price, category = columns.price[row], columns.category[row]
    place = float(columns.latitude[row]), float(columns.longitude[row])
    return all(
        [
            where.category_ids is None or (category != -1 and int(category) in where.category_ids),
            where.min_price is None or (price != -1 and price / 100 >= where.min_price),
            where.max_price is None or (price != -1 and price / 100 <= where.max_price),
            where.near is None
            or where.radius_km is None
            or (not math.isnan(place[0]) and distance_km(where.near, place) <= where.radius_km),
            where.seller_id is None or columns.seller[row] == where.seller_id,
            where.created_after is None or columns.created[row] > where.created_after,
        ]
    )


def maybe(strategy):
    return st.none() | strategy


amounts = st.sampled_from([-1.0, 0.0, 0.01, 1.15, 1.16, 9.99, 10.0, 1e9])
conditions = st.builds(
    Filter,
    category_ids=maybe(st.frozensets(st.sampled_from([1, 2, 3, 7, 8, HIGHEST]), max_size=4)),
    min_price=maybe(amounts),
    max_price=maybe(amounts),
    near=maybe(st.sampled_from([*PLACES, (10.0, 10.0)])),
    radius_km=maybe(st.sampled_from([0.0, 3.0, 40.0, 100.0, 9_000.0, 30_000.0])),
    seller_id=maybe(st.integers(1, 25)),
    statuses=st.lists(st.sampled_from(STATUSES), min_size=1, unique=True).map(tuple),
    created_after=maybe(st.integers(0, 5).map(float)),
)


@pytest.mark.parametrize("few", [1, module.SPARSE_RATIO, 1 << 40])  # rows one by one from the start, soon, and never
@profile(deadline=None)
@given(conditions, st.integers(0, 1_000), st.sampled_from([0, 1, 60, 200]))
def test_rows_pass_as_if_each_had_been_asked(few, where, seed, rows):
    columns = random_columns(seed, rows)
    selected = np.random.default_rng(seed).random(rows) < 0.8
    expected = np.array([passes(where, columns, row) for row in range(rows)], bool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SPARSE_RATIO", few)
        filtered, mask = filter_selection(where, columns, RowBitmap(selected.copy())), mask_rows(where, columns)
    assert np.array_equal(filtered.mask, selected & expected)
    assert filtered.rows.tolist() == np.flatnonzero(selected & expected).tolist()
    assert filtered.count == (selected & expected).sum()
    of_status = [STATUSES[status] in where.statuses for status in columns.status]
    assert np.array_equal(mask, expected & np.array(of_status, bool))


def test_a_search_without_conditions_keeps_the_selection_and_its_counts():
    selection = RowBitmap(np.ones(10, bool))
    assert filter_selection(Filter(statuses=("sold",)), plain_columns(10), selection) is selection
    assert filter_selection(Filter(near=(1.0, 1.0)), plain_columns(10), selection) is selection


@pytest.mark.parametrize(
    "where", [Filter(min_price=0), Filter(max_price=1e9), Filter(min_price=-5), Filter(max_price=-0.01)]
)
def test_a_listing_without_a_price_passes_no_condition_on_it(where):
    columns = with_values(plain_columns(40), price=np.full(40, -1))
    assert filter_selection(where, columns, RowBitmap(np.ones(40, bool))).count == 0


@pytest.mark.parametrize("ids", [frozenset(), frozenset({1}), frozenset({5_000, 9})])
def test_a_listing_without_a_category_or_of_a_higher_one_is_in_none_of_those_asked_for(ids):
    columns = with_values(plain_columns(2), category=np.array([-1, 2_000_000_000], np.int32))
    assert filter_selection(Filter(category_ids=ids), columns, RowBitmap(np.ones(2, bool))).count == 0


def test_a_listing_of_unknown_place_is_near_nothing():
    columns = with_values(plain_columns(40), latitude=np.full(40, np.nan), longitude=np.full(40, np.nan))
    where = Filter(near=(89.9, 0.0), radius_km=50_000)
    assert filter_selection(where, columns, RowBitmap(np.ones(40, bool))).count == 0


def destination(point, bearing, angle):
    """Where one arrives on a great circle, in degrees; the bearing and the angle travelled in radians."""
    latitude, longitude = map(math.radians, point)
    sine = math.sin(latitude) * math.cos(angle) + math.cos(latitude) * math.sin(angle) * math.cos(bearing)
    arrived = math.asin(max(-1.0, min(1.0, sine)))
    aside = math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(latitude), math.cos(angle) - math.sin(latitude) * sine
    )
    return math.degrees(arrived), (math.degrees(longitude + aside) + 180) % 360 - 180


def widest_bearing(latitude, angle):
    """Towards the point of a circle that is farthest to the east: its meridian touches the circle there."""
    ratio = math.tan(angle) * math.tan(math.radians(latitude))
    return math.acos(ratio) if abs(ratio) <= 1 else 0.0


@profile(deadline=None, max_examples=400)
@given(
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
    st.floats(0, 20_100) | st.floats(0, 100),
    st.none() | st.floats(-math.pi, math.pi),
    st.sampled_from([1.0, 1 - 1e-9, 1 - 1e-6]) | st.floats(0, 1),
    st.sampled_from([-1, 1]),
)
@example((90.0, 0.0), 10.0, 1.0, 1.0, 1)
@example((-90.0, 0.0), 0.0, 1.0, 1.0, 1)
@example((89.95, 20.0), 6.0, 0.0, 1.0, 1)
@example((89.9, 20.0), 11.1, None, 1 - 1e-9, 1)
@example((-89.9, 20.0), 11.1, None, 1 - 1e-9, -1)
@example((0.0, 179.95), 20.0, None, 1 - 1e-9, 1)
@example((60.0, -179.95), 200.0, None, 1 - 1e-9, -1)
@example((0.0, 0.0), 10_007.5, None, 1 - 1e-9, 1)
@example((1.0, -180.0), 5.0, 0.3, 0.5, 1)
def test_a_box_contains_every_point_of_its_circle(point, radius_km, bearing, share, side):
    angle = min(math.pi, radius_km / EARTH_RADIUS_KM)
    if bearing is None:
        bearing = side * widest_bearing(point[0], angle)
    latitude, longitude = destination(point, bearing, angle * share)
    if float(haversine_km(point, np.array(latitude), np.array(longitude))) > radius_km:
        return  # by rounding
    south, north, west, east = box_around(point, radius_km)
    assert south <= latitude <= north
    assert west <= -180 or east >= 180 or west <= longitude <= east
    columns = with_values(plain_columns(1), latitude=np.array([latitude]), longitude=np.array([longitude]))
    assert filter_selection(Filter(near=point, radius_km=radius_km), columns, RowBitmap(np.ones(1, bool))).count == 1


def test_a_box_is_not_much_larger_than_its_circle():
    south, north, west, east = box_around((60.0, 10.0), 100)
    degrees = math.degrees(100 / EARTH_RADIUS_KM)
    assert (south, north) == pytest.approx((60 - degrees, 60 + degrees), abs=1e-5)
    assert (10 - west, east - 10) == pytest.approx((2 * degrees, 2 * degrees), rel=1e-2)


def test_a_box_that_reaches_a_pole_goes_around_it():
    assert box_around((89.95, 10.0), 10)[2:] == (-math.inf, math.inf)
    assert box_around((-89.95, 10.0), 10)[2:] == (-math.inf, math.inf)


@given(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), st.tuples(st.floats(-90, 90), st.floats(-180, 180)))
def test_distances_of_columns_are_those_of_single_points(a, b):
    assert float(haversine_km(a, np.array(b[0]), np.array(b[1]))) == pytest.approx(distance_km(a, b), abs=1e-3)
