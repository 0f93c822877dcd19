"""The grammar of a catalogue's cells: one cell in, one value out, or `BadCell` with the reason.

Whoever stores a value says with a limit how many characters there is room for.
"""

from __future__ import annotations

import os
import re
from decimal import Decimal

# A slash without spaces separates nothing, so that a name such as "Men/Women" stays one level of a category.
SEPARATOR = " / "
SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥", "INR": "₹", "AUD": "A$", "CAD": "C$"}
PLACEHOLDERS = frozenset({"n/a", "na", "none", "null", "nan", "-", "--", "?"})
PRICE = re.compile(
    r"(?P<before>[^\s0-9.,+-]{0,3})\s*(?P<sign>[+-]?)"
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.(?P<cents>[0-9]+))?\s*(?P<after>[^\s0-9.,+-]{0,3})"
)
PRICE_DIGITS = 10  # before the point; with two behind it they fill the twelve digits of the database's column
# No number or date needs more characters, so a longer cell is refused before any time is spent on converting it.
SHORT_LIMIT = 40
FILE_STEM = re.compile(r"\w[\w.-]*")
FILE_STEM_BYTES = 250  # file systems take names of 255 bytes, and a suffix is still to come


class BadCell(ValueError):
    """The cell cannot be used; the message is the reason."""


def parse_text(cell: str, limit: int | None = None) -> str:
    """The cell without surrounding space; empty when it is empty."""
    text = cell.strip()
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


def parse_file_stem(cell: str, limit: int | None = None) -> str:
    """A name that stays inside the folder it is looked up in: no slashes, no leading dot."""
    text = parse_required_text(cell, limit)
    if not FILE_STEM.fullmatch(text) or ".." in text:
        raise BadCell("is not a plain file name")
    if len(os.fsencode(text)) > FILE_STEM_BYTES:
        raise BadCell("is too long for a file name")
    return text


def parse_price(cell: str, currency: str) -> Decimal:
    """An amount such as `£1,234.00`; the symbol or code, before or after it, may be missing but not another one."""
    match = PRICE.fullmatch(parse_required_text(cell, SHORT_LIMIT))
    if match is None:
        raise BadCell("is not a price")
    marks = {mark.upper() for mark in (match["before"], match["after"]) if mark}
    if marks - {currency, SYMBOLS.get(currency, currency)}:
        raise BadCell(f"is not in {currency}")
    if match["sign"] == "-":
        raise BadCell("is negative")
    whole, cents = match["whole"].replace(",", ""), (match["cents"] or "").rstrip("0")
    if len(whole.lstrip("0")) > PRICE_DIGITS:
        raise BadCell("is too large")
    if len(cents) > 2:
        raise BadCell("has fractions of a cent")
    return Decimal(f"{whole}.{cents:0<2}")


def parse_degrees(cell: str, bound: int) -> float | None:
    """A latitude or longitude between -bound and bound; None when the cell is empty."""
    text = parse_text(cell, SHORT_LIMIT)
    if not text:
        return None
    try:
        degrees = float(text)
    except ValueError:
        raise BadCell("is not a number") from None
    if not -bound <= degrees <= bound:
        raise BadCell(f"is not between -{bound} and {bound}")
    return degrees


def parse_category(
    cell: str, separator: str = SEPARATOR, name_limit: int | None = None, path_limit: int | None = None
) -> str:
    """A path of category names such as `Home & Garden / Tables`, tidied."""
    names = [name.strip() for name in parse_required_text(cell, path_limit).split(separator)]
    if not all(names):
        raise BadCell("has an empty level")
    if name_limit is not None and any(len(name) > name_limit for name in names):
        raise BadCell(f"has a level longer than {name_limit} characters")
    return separator.join(names)
