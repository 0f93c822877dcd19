from datetime import UTC, datetime

import pytest

from listings.importing.cells import parse_moment, parse_point, parse_username
from ml.catalogue.cells import BadCell

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

POINTS = {
    ("50.85", "-0.17"): ((50.85, -0.17), {}),
    ("90", "-180"): ((90.0, -180.0), {}),
    ("", ""): (None, {}),
    ("123.0", "0.4"): (None, {"latitude": "is not between -90 and 90"}),
    ("50", "181"): (None, {"longitude": "is not between -180 and 180"}),
    ("99", "999"): (None, {"latitude": "is not between -90 and 90", "longitude": "is not between -180 and 180"}),
    ("-inf", "0"): (None, {"latitude": "is not a number"}),
    ("north", "0"): (None, {"latitude": "is not a number"}),
    ("N/A", "0"): (None, {"latitude": "is a placeholder"}),
    ("50", ""): (None, {"longitude": "is empty, but half a point is none"}),
}


@pytest.mark.parametrize(("point", "outcome"), POINTS.items(), ids=map(str, POINTS))
def test_two_cells_become_a_point_or_a_reason_for_each(point, outcome):
    assert parse_point(*point) == outcome


MOMENTS = {
    "2022-02-26": datetime(2022, 2, 26, tzinfo=UTC),
    "2022-02-26 14:30": datetime(2022, 2, 26, 14, 30, tzinfo=UTC),
    "2022-02-26T14:30:00+02:00": datetime(2022, 2, 26, 12, 30, tzinfo=UTC),
    "": None,
    "26/02/2022": "is not a date such as",
    "2022-02-30": "is not a date such as",
    "2099-01-01": "is in the future",
    "0001-01-01T00:00:00+14:00": "is before 1970",
    "N/A": "is a placeholder",
}


@pytest.mark.parametrize(("text", "outcome"), MOMENTS.items())
def test_a_time_cell_becomes_an_aware_moment_or_a_reason(text, outcome):
    if isinstance(outcome, str):
        with pytest.raises(BadCell, match=f"^{outcome}"):
            parse_moment(text, NOW)
    else:
        assert parse_moment(text, NOW) == outcome


@pytest.mark.parametrize("seller", ["", "a b", "a/b", "x" * 101, "N/A"])
def test_a_seller_who_could_have_no_user_name_is_refused(seller):
    with pytest.raises(BadCell):
        parse_username(seller, 100)
