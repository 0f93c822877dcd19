"""Cursors that show each listing once, whatever is inserted meanwhile, prices that are not stated included.

An ordering is a chain of runs, each sorted by (column, id): both databases walk an index in either direction, and NULLs
never meet a comparison. A cursor names the run, the column's value and the id of the last row seen.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import BigIntegerField, Q, QuerySet

from listings.models import Listing


@dataclass(frozen=True)
class Run:
    """Rows of one condition, sorted by a column (none: by id alone), then by id."""

    where: Q
    column: str | None
    descending: bool


ORDERINGS: Mapping[str, tuple[Run, ...]] = {
    "-created": (Run(Q(), "created_at", True),),
    "price": (Run(Q(price__isnull=False), "price", False), Run(Q(price__isnull=True), None, False)),
    "-price": (Run(Q(price__isnull=False), "price", True), Run(Q(price__isnull=True), None, True)),
}


@dataclass(frozen=True)
class Position:
    """Where a page starts: behind this row, going forward or back."""

    ordering: str
    run: int
    value: object
    pk: int
    back: bool = False

    def encode(self) -> str:
        value = None if self.value is None else str(self.value)
        text = json.dumps([self.ordering, self.run, value, self.pk, int(self.back)])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Position:
        """Raises ValueError for anything that `encode` did not make."""
        try:
            raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            ordering, run, value, pk, back = json.loads(raw)
            column = ORDERINGS[ordering][run].column
            position = cls(ordering, run, _parse_column_value(column, value), pk, bool(back))
            # `isinstance` would take true for a number, and a negative run would count from the end of the list.
            valid = (
                type(run) is int
                and run >= 0
                and type(pk) is int
                and 0 < pk <= BigIntegerField.MAX_BIGINT
                and back in {0, 1}
            )
        except (binascii.Error, ArithmeticError, LookupError, RecursionError, TypeError) as exc:
            raise ValueError("not a cursor") from exc
        # Encoded again it is the same, or somebody wrote it who reads `1_0` as ten.
        if not valid or position.encode() != text:
            raise ValueError("not a cursor")
        return position


def _parse_column_value(column: str | None, value: Any) -> Any:
    if column == "created_at":
        moment = datetime.fromisoformat(value)
        # `encode` writes every moment with its time zone, so a cursor without one was not made by it.
        if moment.utcoffset() is None:
            raise ValueError("a moment without a time zone")
        return moment
    if column == "price":
        price = Decimal(value)
        # The column holds no other price, so a cursor with one was not made by `encode`.
        if not (price.is_finite() and price == price.quantize(Decimal("0.01")) and 0 <= price < Decimal(10) ** 10):
            raise InvalidOperation
        return price
    if value is not None:
        raise ValueError("a value without a column")
    return None


def fetch_page(
    queryset: QuerySet[Listing], ordering: str, after: Position | None, count: int
) -> list[tuple[int, Listing]]:
    """The next rows in page order, each with its run; going back they come nearest first."""
    # A page may begin among listings with a price and end among those without, and then it takes two queries.
    runs = list(enumerate(ORDERINGS[ordering]))
    back = after is not None and after.back
    if back:
        runs.reverse()
    rows: list[tuple[int, Listing]] = []
    for number, run in runs:
        # The cursor is past this whole run, so asking for its rows would show them a second time.
        if after is not None and (number > after.run if back else number < after.run):
            continue
        part = _sort_run(queryset.filter(run.where), run, back)
        if after is not None and number == after.run:
            part = part.filter(_beyond_condition(run, after))
        rows += [(number, listing) for listing in part[: count - len(rows)]]
        if len(rows) == count:
            break
    return rows


def _sort_run(queryset: QuerySet[Listing], run: Run, back: bool) -> QuerySet[Listing]:
    sign = "-" if run.descending != back else ""
    return queryset.order_by(*(f"{sign}{name}" for name in (run.column, "id") if name))


def _beyond_condition(run: Run, after: Position) -> Q:
    """Rows behind the position; the outer bound on the column alone lets an index seek."""
    side = "lt" if run.descending != after.back else "gt"
    further = Q(**{f"id__{side}": after.pk})
    if run.column is None:
        return further
    return Q(**{f"{run.column}__{side}e": after.value}) & (Q(**{f"{run.column}__{side}": after.value}) | further)


def position_of_listing(ordering: str, run: int, listing: Listing, *, back: bool) -> Position:
    column = ORDERINGS[ordering][run].column
    return Position(ordering, run, getattr(listing, column) if column else None, listing.pk, back)
