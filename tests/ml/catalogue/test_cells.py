"""One cell of a catalogue in, one value or a reason out: the grammar that cleaning and the import share."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.catalogue.cells import (
    BadCell,
    parse_category,
    parse_degrees,
    parse_file_name,
    parse_id,
    parse_price,
    parse_required_text,
    parse_text,
)

AMBIGUOUS = "has a point before three digits, which may mean a thousand or a fraction"
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
    "£1,234": Decimal("1234.00"),
    ".99": Decimal("0.99"),
    "£.5": Decimal("0.50"),
    "1 000": Decimal("1000.00"),
    "1\u202f234\u202f567.5 £": Decimal("1234567.50"),
    "1'000": Decimal("1000.00"),
    "1\u2019000.50": Decimal("1000.50"),
    "1.000,00": Decimal("1000.00"),
    "1.234.567,89": Decimal("1234567.89"),
    "1 234,50": Decimal("1234.50"),
    "£1,23": Decimal("1.23"),
    "0,99 £": Decimal("0.99"),
    "\u200e£12.00\u200b": Decimal("12.00"),
    "\ufeff12": Decimal("12.00"),
    "-0": Decimal("0.00"),
    "1234.500": Decimal("1234.50"),
    "1.000": AMBIGUOUS,
    "1.000 £": AMBIGUOUS,
    "2.500": AMBIGUOUS,
    "£12.345": AMBIGUOUS,
    "1.000.000": "is not a price",
    "0,500": "is not a price",
    "1,5": "is not a price",
    "1,0000": "is not a price",
    "1,000 000": "is not a price",
    "1 00": "is not a price",
    "5\n100": "is not a price",
    "5.": "is not a price",
    "12.00-": "is not a price",
    "(12.00)": "is not in GBP",
    "5_1": "is not a price",
    "\uff11\uff12": "is not a price",
    "1²": "is not in GBP",
    "inf": "is not a price",
    "0x10": "is not a price",
    "50%": "is not in GBP",
    "10-20": "is not a price",
    "£10\u2013£20": "is not a price",
    "from 5": "is not a price",
    "5 VB": "is not in GBP",
    "VB": "is not a price",
    "£5 ono": "is not in GBP",
    "nan": "is a placeholder",
    "£12,345,6.00": "is not a price",
    "£1e5": "is not a price",
    "£NaN": "is not a price",
    "10 - 20": "is not a price",
    "$12.00": "is not in GBP",
    "€12": "is not in GBP",
    "12 USD": "is not in GBP",
    "£99999999999": "is too large",
    "£1.2345": "has fractions of a cent",
    "£1" + "0" * 200: "is longer than 40 characters",
    "£1\0": "contains a NUL byte",
    "£1\ufffd": "contains bytes that are no text",
    "£١٢": "is not a price",
}


@pytest.mark.parametrize(("text", "outcome"), PRICES.items(), ids=map(ascii, PRICES))
def test_a_price_cell_becomes_an_amount_or_a_reason(text, outcome):
    if isinstance(outcome, Decimal):
        assert str(parse_price(text, "GBP")) == str(outcome)
    else:
        with pytest.raises(BadCell, match=f"^{outcome}$"):
            parse_price(text, "GBP")


@given(st.decimals(0, Decimal("9999999999.99"), places=2), st.sampled_from(["£{:,}", "£{}", "{:,} GBP", "{}"]))
def test_every_amount_that_fits_the_column_survives_every_way_to_write_it(amount, form):
    assert parse_price(form.format(amount), "GBP") == amount


@given(st.text(alphabet="£$0123456789.,+- NA\0gbp", max_size=14))
def test_no_price_cell_gives_anything_but_a_storable_amount_or_a_reason(text):
    try:
        price = parse_price(text, "GBP")
    except BadCell:
        return
    assert price.as_tuple().exponent == -2
    assert 0 <= price < 10**10


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("Home / Kitchen / Mugs", "Home / Kitchen / Mugs"),
        (" Home /  Kitchen ", "Home / Kitchen"),
        ("T-Shirts/Tops", "T-Shirts/Tops"),
        ("Home > Kitchen > Mugs", "Home / Kitchen / Mugs"),
        ("Toys / Age > 3", "Toys / Age > 3"),
        ("Home>Mugs", "Home>Mugs"),
        ("Home\u00a0/\nMugs  and   cups", "Home / Mugs and cups"),
        ("Home\u200e / \u200bMugs\u200d", "Home / Mugs"),
        ("Café", "Caf\u00e9"),
        ("گل\u200cمیز / 👩\u200d👧", "گل\u200cمیز / 👩\u200d👧"),
    ],
)
def test_a_category_cell_becomes_a_tidy_path(text, path):
    assert parse_category(text, " / ", 120, 500) == path


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
        parse_category(text, " / ", 120, 500)


@pytest.mark.parametrize(
    "stem", ["../secret", "..", "a/b", "a\\b", "/etc/passwd", ".hidden", "..\\x", "a\0b", "", "C:\\x", "a\x1fb/"]
)
def test_a_file_name_that_could_leave_its_folder_is_refused(stem):
    with pytest.raises(BadCell):
        parse_file_name(stem, 64)


@pytest.mark.parametrize(
    "stem",
    [
        "edd05195-8ce4-4737-a6f1-e46c174ec6c0",
        "IMG_0001",
        "1.2",
        "IMG_0001 (1)",
        "(2)",
        "20220101_120000~2",
        "WhatsApp Image 2023-01-01 at 12.00.00",
        "Chair... and table",
        "à la carte",
        "写真",
        "a'b&c,d+e=f",
    ],
)
def test_a_plain_file_name_is_taken_as_it_is(stem):
    assert parse_file_name(stem, 64) == stem


@pytest.mark.parametrize("stem", ["x" * 251, "é" * 126])
def test_a_name_that_no_file_can_have_is_refused_before_it_is_looked_for(stem):
    assert parse_file_name(stem[:-1]) == stem[:-1]
    with pytest.raises(BadCell, match=r"^is too long for a file name$"):
        parse_file_name(stem)


@pytest.mark.parametrize(
    ("text", "degrees"), {"": None, " 53.80 ": 53.8, "-90": -90.0, "0": 0.0, "\u200e-5e-05": -5e-05, ".5": 0.5}.items()
)
def test_degrees_may_be_missing(text, degrees):
    assert parse_degrees(text, 90) == degrees


@pytest.mark.parametrize(
    "text",
    [
        "90.5",
        "nan",
        "-inf",
        "infinity",
        "north",
        "1e999",
        "5_1",
        "\uff11\uff12",
        "\u0665",
        "53,8",
        "0x1",
        "1 2",
        "0" * 41,
    ],
)
def test_degrees_are_numbers_on_the_globe(text):
    with pytest.raises(BadCell):
        parse_degrees(text, 90)


def test_a_text_is_as_long_as_it_likes_unless_its_reader_has_a_limit():
    assert parse_required_text(" " + "x" * 100_000) == "x" * 100_000
    assert parse_required_text(" abc ", 3) == "abc"
    with pytest.raises(BadCell, match=r"^is longer than 2 characters$"):
        parse_required_text(" abc ", 2)


def test_a_place_on_the_line_has_one_text():
    assert str(parse_degrees("-0.0", 90)) == "0.0"


@pytest.mark.parametrize(
    "cell",
    ["\ufeffID 1", "ID 1\u200b", "I\u200dD 1", "\u2067ID 1\u2069", "I\u00adD 1", " ID\u00a01 ", "ID \n1", "\u200eID 1"],
)
def test_ids_that_look_the_same_are_the_same(cell):
    assert parse_id(cell) == "ID 1"


def test_an_id_has_one_spelling_of_its_letters_and_keeps_their_case():
    assert parse_id("Cafe\u0301") == parse_id("Caf\u00e9") == "Caf\u00e9"
    assert parse_id("aB") != parse_id("Ab")
    with pytest.raises(BadCell, match=r"^is empty$"):
        parse_id("\u200b\ufeff")


@pytest.mark.parametrize(
    "text",
    [
        "👩\u200d👩\u200d👧\u200d👦🇬🇧",
        "❤\ufe0f",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می\u200cرو",
        "a\u00adb",
        "שלום!\u200f",
    ],
)
def test_a_text_keeps_what_its_script_and_emoji_need_and_loses_what_surrounds_it(text):
    assert parse_text(f"\ufeff\u200b {text}\u200b\u200d\u00a0\ufeff") == text
