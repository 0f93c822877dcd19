from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listings.importing import cells
from listings.importing.cells import BadCell

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

PRICES = {
    "£1,234.00": Decimal("1234.00"),
    "£10.81": Decimal("10.81"),
    "£0.00": Decimal("0.00"),
    " £ 12.5 ": Decimal("12.50"),
    "12": Decimal("12.00"),
    "GBP 12.00": Decimal("12.00"),
    "12.00 gbp": Decimal("12.00"),
    "12.5000": Decimal("12.50"),
    "£1,234,567.89": Decimal("1234567.89"),
    "0000000000012": Decimal("12.00"),
    "": "is empty",
    "N/A": "is a placeholder",
    "£-3.00": "is negative",
    "-3": "is negative",
    "free to collector": "is not a price",
    "£": "is not a price",
    "£1,23": "is not a price",
    "£12,345,6.00": "is not a price",
    "1.234,00": "is not a price",
    "£1e5": "is not a price",
    "£NaN": "is not a price",
    "10 - 20": "is not a price",
    "$12.00": "is not in GBP",
    "€12": "is not in GBP",
    "12 USD": "is not in GBP",
    "£99999999999": "is too large",
    "£1.234": "has fractions of a cent",
    "£1" + "0" * 200: "is longer than 40 characters",
    "£1\0": "contains a NUL byte",
    "£1\ufffd": "contains bytes that are no text",
    "£١٢": "is not a price",
}


@pytest.mark.parametrize(("text", "outcome"), PRICES.items(), ids=map(ascii, PRICES))
def test_a_price_cell_becomes_an_amount_or_a_reason(text, outcome):
    if isinstance(outcome, Decimal):
        assert str(cells.parse_price(text, "GBP")) == str(outcome)
    else:
        with pytest.raises(BadCell, match=f"^{outcome}$"):
            cells.parse_price(text, "GBP")


@given(st.decimals(0, Decimal("9999999999.99"), places=2), st.sampled_from(["£{:,}", "£{}", "{:,} GBP", "{}"]))
def test_every_amount_that_fits_the_column_survives_every_way_to_write_it(amount, form):
    assert cells.parse_price(form.format(amount), "GBP") == amount


@given(st.text(alphabet="£$0123456789.,+- NA\0gbp", max_size=14))
def test_no_price_cell_gives_anything_but_a_storable_amount_or_a_reason(text):
    try:
        price = cells.parse_price(text, "GBP")
    except BadCell:
        return
    assert price.as_tuple().exponent == -2
    assert 0 <= price < 10**10


POINTS = {
    ("50.85", "-0.17"): ((50.85, -0.17), {}),
    ("90", "-180"): ((90.0, -180.0), {}),
    ("", ""): (None, {}),
    ("123.0", "0.4"): (None, {"latitude": "is not between -90 and 90"}),
    ("50", "181"): (None, {"longitude": "is not between -180 and 180"}),
    ("99", "999"): (None, {"latitude": "is not between -90 and 90", "longitude": "is not between -180 and 180"}),
    ("-inf", "0"): (None, {"latitude": "is not between -90 and 90"}),
    ("north", "0"): (None, {"latitude": "is not a number"}),
    ("N/A", "0"): (None, {"latitude": "is a placeholder"}),
    ("50", ""): (None, {"longitude": "is empty, but half a point is none"}),
}


@pytest.mark.parametrize(("point", "outcome"), POINTS.items(), ids=map(str, POINTS))
def test_two_cells_become_a_point_or_a_reason_for_each(point, outcome):
    assert cells.parse_point(*point) == outcome


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
            cells.parse_moment(text, NOW)
    else:
        assert cells.parse_moment(text, NOW) == outcome


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("Home / Kitchen / Mugs", "Home / Kitchen / Mugs"),
        (" Home /  Kitchen ", "Home / Kitchen"),
        ("T-Shirts/Tops", "T-Shirts/Tops"),
    ],
)
def test_a_category_cell_becomes_a_tidy_path(text, path):
    assert cells.parse_category(text, " / ", 120, 500) == path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("N/A", "is a placeholder"),
        ("Home /  / Mugs", "has an empty level"),
        ("Home / " + "x" * 121, "has a level longer than 120 characters"),
        (" / ".join(["level"] * 100), "is longer than 500 characters"),
    ],
)
def test_a_bad_category_cell_has_a_reason(text, reason):
    with pytest.raises(BadCell, match=f"^{reason}$"):
        cells.parse_category(text, " / ", 120, 500)


@pytest.mark.parametrize(
    "stem", ["../secret", "..", "a/b", "a\\b", "/etc/passwd", ".hidden", "a..b", "a\0b", "", "a b"]
)
def test_a_file_name_that_could_leave_its_folder_is_refused(stem):
    with pytest.raises(BadCell):
        cells.parse_file_stem(stem, 64)


@pytest.mark.parametrize("stem", ["edd05195-8ce4-4737-a6f1-e46c174ec6c0", "IMG_0001", "1.2"])
def test_a_plain_file_name_is_taken_as_it_is(stem):
    assert cells.parse_file_stem(stem, 64) == stem


@pytest.mark.parametrize("seller", ["", "a b", "a/b", "x" * 101, "N/A"])
def test_a_seller_who_could_have_no_user_name_is_refused(seller):
    with pytest.raises(BadCell):
        cells.parse_username(seller, 100)
