"""The grammar of a catalogue's cells: one cell in, one value out, or `BadCell` with the reason.

Whoever stores a value says with a limit how many characters there is room for. Texts that people read keep what is in
them; ids, numbers and whatever else is compared lose the characters that nobody sees.
"""

from __future__ import annotations

import os
import re
import unicodedata
from decimal import Decimal

# A slash without spaces separates nothing, so that a name such as "Men/Women" stays one level of a category.
SEPARATOR = " / "
# What shops write in its place; only in a cell without a separator, where it can hardly mean anything else.
OTHER_SEPARATOR = " > "
SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥", "INR": "₹", "AUD": "A$", "CAD": "C$"}
PLACEHOLDERS = frozenset({"n/a", "na", "none", "null", "nan", "-", "--", "?"})
GROUP_MARKS = "'\u2019 \u00a0\u2009\u202f"  # between thousands: apostrophes and spaces of all widths
PRICE = re.compile(
    rf"(?P<before>[^\s0-9.,+-]{{0,3}})\s*(?P<sign>[+-]?)(?P<number>[0-9.,{GROUP_MARKS}]*[0-9])"
    r"\s*(?P<after>[^\s0-9.,+-]{0,3})"
)
GROUPS = "[1-9][0-9]{0,2}(?P<mark>[%s])[0-9]{3}(?:(?P=mark)[0-9]{3})*"
NUMBERS = (
    re.compile(r"(?P<whole>[0-9]*)\.(?P<cents>[0-9]+)"),
    re.compile(rf"(?P<whole>[0-9]+|{GROUPS % (',' + GROUP_MARKS)})(?:\.(?P<cents>[0-9]+))?"),
    re.compile(rf"(?P<whole>[0-9]+|{GROUPS % ('.' + GROUP_MARKS)}),(?P<cents>[0-9]{{2}})"),
)
AMBIGUOUS_NUMBER = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")
DEGREES = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
PRICE_DIGITS = 10  # before the point; with two behind it they fill the twelve digits of the database's column
# No number or date needs more characters, so a longer cell is refused before any time is spent on converting it.
SHORT_LIMIT = 40
FILE_NAME_BYTES = 250  # file systems take names of 255 bytes, and a suffix may still have to come
PATH_MARKS = re.compile(r"[/\\\x00-\x1f\x7f]")

JOINERS = "\u200c\u200d"  # part of Persian words and of emoji such as families, and nothing at the end of a text
# Soft hyphens, marks of direction, spaces of no width and byte order marks.
INVISIBLE = "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
INVISIBLE_AND_JOINERS = re.compile(f"[{INVISIBLE}{JOINERS}]")
INVISIBLE_BUT_JOINERS = re.compile(f"[{INVISIBLE}]")
# Marks of direction are left at the ends of a text, because they place the punctuation there.
EDGES = "".join(filter(str.isspace, map(chr, range(0x3001)))) + JOINERS + "\u00ad\u200b\u2060\ufeff"


class BadCell(ValueError):
    """The cell cannot be used; the message is the reason."""


def remove_invisible(cell: str) -> str:
    """The cell without the characters that nobody sees, wherever they stand."""
    return cell if cell.isascii() else INVISIBLE_AND_JOINERS.sub("", cell)


def parse_text(cell: str, limit: int | None = None) -> str:
    """The cell without surrounding space, seen or not; empty when it is empty."""
    text = cell.strip(EDGES)
    if "\0" in text:
        raise BadCell("contains a NUL byte")
    if "\ufffd" in text:
        raise BadCell("contains bytes that are no text")
    if text.lower() in PLACEHOLDERS:
        raise BadCell("is a placeholder")
    if limit is not None and len(text) > limit:
        raise BadCell(f"is longer than {limit} characters")
    return text


def parse_required_text(cell: str, limit: int | None = None) -> str:
    """The cell without surrounding space, which must leave something."""
    text = parse_text(cell, limit)
    if not text:
        raise BadCell("is empty")
    return text


def parse_id(cell: str, limit: int | None = None) -> str:
    """What is compared with cells of other rows and files: equal when people see the same."""
    return parse_required_text(normalise_name(remove_invisible(cell)), limit)


def normalise_name(text: str) -> str:
    """One spelling of what systems spell in several: composed letters, and one plain space where there is any space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def parse_file_name(cell: str, limit: int | None = None) -> str:
    """A name, with or without suffix, that stays inside the folder it is looked up in: no slashes, no leading dot."""
    text = parse_id(cell, limit)
    if PATH_MARKS.search(text) or text.startswith("."):
        raise BadCell("is not a plain file name")
    if len(os.fsencode(text)) > FILE_NAME_BYTES:
        raise BadCell("is too long for a file name")
    return text


def parse_price(cell: str, currency: str) -> Decimal:
    """An amount such as `£1,234.00`; the symbol or code, before or after it, may be missing but not another one.

    A point stands before cents (`12.5`, `.99`). Thousands may be set apart by commas, spaces or apostrophes (`1,234`,
    `1 234.50`, `1'234`). A comma stands before cents where exactly two digits follow it and nothing else can be meant
    (`12,50`, `1.234,50`). A point with three digits behind it (`1.234`) means a thousand to one and a fraction to
    another, so it is refused; so is everything that is not said here.
    """
    match = PRICE.fullmatch(parse_required_text(remove_invisible(cell), SHORT_LIMIT))
    if match is None:
        raise BadCell("is not a price")
    amount = _parse_amount(match["number"])
    marks = {mark.upper() for mark in (match["before"], match["after"]) if mark}
    if marks - {currency, SYMBOLS.get(currency, currency)}:
        raise BadCell(f"is not in {currency}")
    if match["sign"] == "-" and amount:
        raise BadCell("is negative")
    return amount


def _parse_amount(number: str) -> Decimal:
    if AMBIGUOUS_NUMBER.fullmatch(number):
        raise BadCell("has a point before three digits, which may mean a thousand or a fraction")
    match = next(filter(None, (form.fullmatch(number) for form in NUMBERS)), None)
    if match is None:
        raise BadCell("is not a price")
    whole, cents = re.sub(r"[^0-9]", "", match["whole"]), (match["cents"] or "").rstrip("0")
    if len(whole.lstrip("0")) > PRICE_DIGITS:
        raise BadCell("is too large")
    if len(cents) > 2:
        raise BadCell("has fractions of a cent")
    return Decimal(f"{whole or 0}.{cents:0<2}")


def parse_degrees(cell: str, bound: int) -> float | None:
    """A latitude or longitude between -bound and bound; None when the cell is empty."""
    text = parse_text(remove_invisible(cell), SHORT_LIMIT)
    if not text:
        return None
    if not DEGREES.fullmatch(text):
        raise BadCell("is not a number")
    degrees = float(text)
    if not -bound <= degrees <= bound:
        raise BadCell(f"is not between -{bound} and {bound}")
    return degrees or 0.0  # never -0.0, which would be another text for the same place


def parse_category(
    cell: str, separator: str = SEPARATOR, name_limit: int | None = None, path_limit: int | None = None
) -> str:
    """A path of category names such as `Home & Garden / Tables`, tidied; ` > ` separates where no slash does."""
    path = INVISIBLE_BUT_JOINERS.sub("", parse_required_text(cell, path_limit))
    slashed, others = (re.split(rf"\s{mark.strip()}\s", path) for mark in (separator, OTHER_SEPARATOR))
    names = [normalise_name(name.strip(EDGES)) for name in (slashed if len(slashed) > 1 else others)]
    if not all(names):
        raise BadCell("has an empty level")
    if name_limit is not None and any(len(name) > name_limit for name in names):
        raise BadCell(f"has a level longer than {name_limit} characters")
    return separator.join(names)
