"""A CSV record becomes a product or a photo row, with a finding for everything that was wrong. Touches nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from listings.models import Listing
from listings.querysets import SEPARATOR
from ml.catalogue.cells import (
    BadCell,
    normalise_name,
    parse_category,
    parse_file_name,
    parse_id,
    parse_price,
    parse_required_text,
    parse_text,
)
from ml.catalogue.findings import Finding, Kind
from ml.catalogue.records import Record

from .cells import parse_moment, parse_point, parse_username

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a file must have, and those that it may have."""

    required: Sequence[str]
    optional: Sequence[str]


PRODUCT_COLUMNS = Columns(
    required=("id", "product_name", "category", "seller"),
    optional=("product_description", "price", "location", "latitude", "longitude", "create_time"),
)
PHOTO_COLUMNS = Columns(required=("id", "product_id"), optional=("create_time",))
NO_TITLE = "(no title)"
SELLER_LIMIT = 100
# As much as the models' columns hold: PostgreSQL would refuse a longer text, and with it the rows of a whole batch.
ID_LIMIT = 64
PHOTO_ID_LIMIT = 255
TITLE_LIMIT = 200
DESCRIPTION_LIMIT = 10_000
LOCATION_LIMIT = 120
NAME_LIMIT = 120
PATH_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Product:
    line: int
    id: str
    seller: str
    title: str
    description: str
    category: str
    price: Decimal | None
    location: str
    point: tuple[float, float] | None
    status: Listing.Status
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PhotoRow:
    line: int
    id: str
    product_id: str
    created_at: datetime


LEFT_OUT = "; row left out"


class RowReader:
    """Reads cells of one record and notes the bad ones."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.findings: list[Finding] = []
        if record.note:
            self.findings.append(Finding(Kind.SHORT_ROW, record.line, "", "", record.note))

    def cell_text(self, column: str) -> str:
        return self.record.cells.get(column, "")

    def note_finding(self, column: str, reason: str, kind: Kind = Kind.BAD_CELL) -> None:
        self.findings.append(Finding(kind, self.record.line, column, self.cell_text(column), reason))

    def parse_cell(
        self, column: str, parse: Callable[[str], Value], fallback: Value, kind: Kind = Kind.BAD_CELL, then: str = ""
    ) -> Value:
        """The cell's value; the fallback, after a note, when the cell is bad or its column is not in the file."""
        if column not in self.record.cells:
            return fallback
        try:
            return parse(self.cell_text(column))
        except BadCell as exc:
            self.note_finding(column, f"{exc}{then}", kind)
            return fallback


def parse_product(record: Record, currency: str, now: datetime) -> tuple[Product | None, list[Finding]]:
    """The product, or None when the row has no usable id or seller."""
    row = RowReader(record)
    id_ = row.parse_cell("id", lambda text: parse_id(text, ID_LIMIT), "", Kind.REFUSED, LEFT_OUT)
    seller = row.parse_cell("seller", lambda text: parse_username(text, SELLER_LIMIT), "", Kind.REFUSED, LEFT_OUT)
    if not id_ or not seller:
        return None, row.findings
    draft = "; imported as a draft"
    title = row.parse_cell("product_name", parse_title, "", then=draft)
    category = row.parse_cell("category", parse_category_path, "", then=draft)
    point, wrong = parse_point(row.cell_text("latitude"), row.cell_text("longitude"))
    for column, reason in wrong.items():
        row.note_finding(column, reason)
    product = Product(
        line=record.line,
        id=id_,
        seller=seller,
        title=title or NO_TITLE,
        description=row.parse_cell("product_description", lambda text: parse_text(text, DESCRIPTION_LIMIT), ""),
        category=category,
        price=row.parse_cell("price", lambda text: parse_price(text, currency), None),
        location=row.parse_cell("location", lambda text: parse_text(normalise_name(text), LOCATION_LIMIT), ""),
        point=point,
        status=Listing.Status.ACTIVE if title and category else Listing.Status.DRAFT,
        created_at=row.parse_cell("create_time", lambda text: parse_moment(text, now), None) or now,
    )
    return product, row.findings


def parse_photo_row(record: Record, now: datetime) -> tuple[PhotoRow | None, list[Finding]]:
    """The photo row, or None when it names no file or no product."""
    row = RowReader(record)
    id_ = row.parse_cell("id", lambda text: parse_file_name(text, PHOTO_ID_LIMIT), "", Kind.REFUSED, LEFT_OUT)
    product_id = row.parse_cell("product_id", lambda text: parse_id(text, ID_LIMIT), "", Kind.REFUSED, LEFT_OUT)
    if not id_ or not product_id:
        return None, row.findings
    created = row.parse_cell("create_time", lambda text: parse_moment(text, now), None)
    return PhotoRow(record.line, id_, product_id, created or now), row.findings


def parse_title(text: str) -> str:
    return parse_required_text(normalise_name(text), TITLE_LIMIT)


def parse_category_path(text: str) -> str:
    return parse_category(text, SEPARATOR, NAME_LIMIT, PATH_LIMIT)
