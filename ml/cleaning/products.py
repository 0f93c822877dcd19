"""The table of products: cells that cannot be used are emptied, rows without a usable id are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ml.catalogue.cells import (
    SEPARATOR,
    BadCell,
    normalise_name,
    parse_category,
    parse_degrees,
    parse_id,
    parse_price,
    parse_required_text,
    parse_text,
)
from ml.catalogue.findings import FileFindings, Finding, Kind
from ml.catalogue.records import BrokenRecord, CsvFile

# Without these two columns no picture gets a label: images name the id of a product, whose category is the label.
REQUIRED = ("id", "category")
ROOT_CATEGORY = "root_category"


@dataclass(frozen=True, slots=True)
class Product:
    """One row as it is written, and the label of its pictures: empty when its category cannot be used."""

    id: str
    cells: dict[str, str]
    label: str


def read_products(table: CsvFile, currency: str, levels: int, findings: FileFindings) -> Iterator[Product]:
    """The usable rows of `table`; what was wrong goes to `findings`.

    Args:
        currency: of every price, such as GBP.
        levels: how many levels of a category make a label, from the root.
    """
    parsers = _parsers_by_column(currency)
    first_lines: dict[str, int] = {}
    for record in table:
        if isinstance(record, BrokenRecord):
            findings.add(Finding(Kind.BAD_ROW, record.line, "", "", record.reason))
            continue
        line = record.line
        wrong = {}
        cells = {}
        for column, cell in record.cells.items():
            try:
                cells[column] = parsers.get(column, parse_text)(cell)
            except BadCell as exc:
                cells[column], wrong[column] = "", str(exc)
        first = first_lines.setdefault(cells["id"], line)
        if cells["id"] and first != line:
            findings.add(Finding(Kind.REPEATED, line, "id", cells["id"], f"repeats line {first}; row left out"))
            continue
        if record.note:
            findings.add(Finding(Kind.SHORT_ROW, line, "", "", record.note))
        for column, reason in wrong.items():
            consequence = "" if cells["id"] else "; row left out"
            findings.add(Finding(Kind.BAD_CELL, line, column, record.cells[column], f"{reason}{consequence}"))
        if cells["id"]:
            names = cells["category"].split(SEPARATOR)
            yield Product(cells["id"], cells | {ROOT_CATEGORY: names[0]}, SEPARATOR.join(names[:levels]))


def _parsers_by_column(currency: str) -> dict[str, Callable[[str], str]]:
    return {
        "id": parse_id,
        "product_name": lambda cell: parse_required_text(normalise_name(cell)),
        "category": parse_category,
        "price": lambda cell: str(parse_price(cell, currency)),
        "latitude": lambda cell: _format_degrees(parse_degrees(cell, 90)),
        "longitude": lambda cell: _format_degrees(parse_degrees(cell, 180)),
    }


def _format_degrees(value: float | None) -> str:
    return "" if value is None else str(value)
