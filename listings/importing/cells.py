"""One cell in, one value out. Pure functions; a cell that cannot be used raises `BadCell` with the reason."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal

SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥", "INR": "₹", "CHF": "CHF", "AUD": "A$", "CAD": "C$"}
PLACEHOLDERS = frozenset({"n/a", "na", "none", "null", "nan", "-", "--", "?"})
PRICE = re.compile(
    r"(?P<before>[^\s0-9.,+-]{0,3})\s*(?P<sign>[+-]?)"
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.(?P<cents>[0-9]+))?\s*(?P<after>[^\s0-9.,+-]{0,3})"
)
PRICE_DIGITS = 10  # before the point
USERNAME = re.compile(r"[\w.@+-]+")
FILE_STEM = re.compile(r"\w[\w.-]*")


class BadCell(ValueError):
    """The cell cannot be used; the message is the reason."""


def parse_text(text: str, limit: int) -> str:
    """The cell without surrounding space; empty when it is empty."""
    text = text.strip()
    if "\0" in text:
        raise BadCell("contains a NUL byte")
    if "\ufffd" in text:
        raise BadCell("contains bytes that are no text")
    if text.lower() in PLACEHOLDERS:
        raise BadCell("is a placeholder")
    if len(text) > limit:
        raise BadCell(f"is longer than {limit} characters")
    return text


def parse_required(text: str, limit: int) -> str:
    value = parse_text(text, limit)
    if not value:
        raise BadCell("is empty")
    return value


def parse_username(text: str, limit: int) -> str:
    value = parse_required(text, limit)
    if not USERNAME.fullmatch(value):
        raise BadCell("may hold letters, digits and . @ + - _ only")
    return value


def parse_file_stem(text: str, limit: int) -> str:
    """A name that stays inside the folder it is looked up in: no slashes, no leading dot."""
    value = parse_required(text, limit)
    if not FILE_STEM.fullmatch(value) or ".." in value:
        raise BadCell("is not a plain file name")
    return value


def parse_price(text: str, currency: str) -> Decimal:
    """An amount such as `£1,234.00`; the symbol or code, before or after it, may be missing but not another one."""
    value = parse_required(text, 40)
    match = PRICE.fullmatch(value)
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


def parse_category(text: str, separator: str, name_limit: int, path_limit: int) -> str:
    """A path of category names, tidied."""
    path = parse_required(text, path_limit)
    names = [name.strip() for name in path.split(separator)]
    if not all(names):
        raise BadCell("has an empty level")
    if any(len(name) > name_limit for name in names):
        raise BadCell(f"has a level longer than {name_limit} characters")
    return separator.join(names)


def parse_degrees(text: str, bound: int) -> float | None:
    """A latitude or longitude between -bound and bound; None when the cell is empty."""
    value = parse_text(text, 40)
    if not value:
        return None
    try:
        degrees = float(value)
    except ValueError:
        raise BadCell("is not a number") from None
    if not -bound <= degrees <= bound:
        raise BadCell(f"is not between -{bound} and {bound}")
    return degrees


def parse_point(latitude: str, longitude: str) -> tuple[tuple[float, float] | None, dict[str, str]]:
    """A point on earth or None, and what was wrong, by column; half a point is none."""
    degrees: dict[str, float | None] = {}
    wrong: dict[str, str] = {}
    for column, text, bound in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        try:
            degrees[column] = parse_degrees(text, bound)
        except BadCell as exc:
            wrong[column] = str(exc)
    if wrong:
        return None, wrong
    lat, lon = degrees["latitude"], degrees["longitude"]
    if lat is None and lon is None:
        return None, {}
    if lat is None or lon is None:
        return None, {"latitude" if lat is None else "longitude": "is empty, but half a point is none"}
    return (lat, lon), {}


def parse_moment(text: str, now: datetime) -> datetime | None:
    """A date or a date and time, ISO 8601, UTC unless it says otherwise; None when the cell is empty."""
    value = parse_text(text, 40)
    if not value:
        return None
    try:
        moment = datetime.combine(date.fromisoformat(value), time(), UTC)
    except ValueError:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise BadCell("is not a date such as 2022-02-26 or 2022-02-26T14:30:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment.year < 1970:
        raise BadCell("is before 1970")
    if moment > now:
        raise BadCell("is in the future")
    return moment
