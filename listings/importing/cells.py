"""The cells that the import alone reads; the grammar of the others is `ml.catalogue.cells`, which any table shares."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time

from ml.catalogue.cells import SHORT_LIMIT, BadCell, parse_degrees, parse_id, parse_text, remove_invisible

USERNAME = re.compile(r"[\w.@+-]+")


def parse_username(text: str, limit: int) -> str:
    value = parse_id(text, limit)
    if not USERNAME.fullmatch(value):
        raise BadCell("becomes a user name, so it may hold letters, digits and . @ + - _ only")
    return value


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
    value = parse_text(remove_invisible(text), SHORT_LIMIT)
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
