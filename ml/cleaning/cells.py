"""One cell in, one value out, or `BadCell` with the reason."""

from __future__ import annotations

import re
from decimal import Decimal

SEPARATOR = " / "  # between the levels of a category
SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥", "INR": "₹", "AUD": "A$", "CAD": "C$"}
PLACEHOLDERS = frozenset({"n/a", "na", "none", "null", "nan", "-", "--", "?"})
PRICE = re.compile(
    r"(?P<before>[^\s0-9.,+-]{0,3})\s*(?P<sign>[+-]?)"
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,10})(?:\.(?P<cents>[0-9]{1,2})0*)?\s*(?P<after>[^\s0-9.,+-]{0,3})"
)
FILE_STEM = re.compile(r"\w[\w.-]*")


class BadCell(ValueError):
    """The cell cannot be used; the message is the reason."""


def parse_text(cell: str) -> str:
    """The cell without surrounding space; empty when it is empty."""
    text = cell.strip()
    if "\0" in text:
        raise BadCell("contains a NUL byte")
    if text.lower() in PLACEHOLDERS:
        raise BadCell("is a placeholder")
    return text


def parse_required(cell: str) -> str:
    """The cell without surrounding space, which must leave something."""
    text = parse_text(cell)
    if not text:
        raise BadCell("is empty")
    return text


def parse_file_stem(cell: str) -> str:
    """A name that stays inside the folder it is looked up in: no slashes, no leading dot."""
    text = parse_required(cell)
    if not FILE_STEM.fullmatch(text) or ".." in text:
        raise BadCell("is not a plain file name")
    return text


def parse_price(cell: str, currency: str) -> Decimal:
    """An amount such as `£1,234.00`; the symbol or code, before or after it, may be missing but not another one."""
    match = PRICE.fullmatch(parse_required(cell))
    if match is None:
        raise BadCell("is not a price")
    marks = {mark.upper() for mark in (match["before"], match["after"]) if mark}
    if marks - {currency, SYMBOLS.get(currency, currency)}:
        raise BadCell(f"is not in {currency}")
    if match["sign"] == "-":
        raise BadCell("is negative")
    return Decimal(f"{match['whole'].replace(',', '')}.{match['cents'] or '':0<2}")


def parse_degrees(cell: str, bound: int) -> str:
    """A latitude or longitude between -bound and bound, as it was written; empty when the cell is empty."""
    text = parse_text(cell)
    try:
        inside = not text or -bound <= float(text) <= bound
    except ValueError:
        raise BadCell("is not a number") from None
    if not inside:
        raise BadCell(f"is not between -{bound} and {bound}")
    return text


def parse_category(cell: str) -> tuple[str, ...]:
    """The names of a category such as `Home & Garden / Tables`, from the root down."""
    names = tuple(name.strip() for name in parse_required(cell).split(SEPARATOR))
    if not all(names):
        raise BadCell("has an empty level")
    return names
