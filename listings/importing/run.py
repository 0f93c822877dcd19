"""The import itself: read, judge, save in batches, report. Running it again changes nothing that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Generic, Protocol, TypeVar

from django.conf import settings

from ml.catalogue.findings import FileFindings, Finding, Kind
from ml.catalogue.picture_files import PictureFiles
from ml.catalogue.records import BrokenRecord, CsvFile, Record

from .pictures import PictureFolder
from .products import save_new_products
from .rows import PHOTO_COLUMNS, PRODUCT_COLUMNS, Columns, PhotoRow, Product, parse_photo_row, parse_product
from .seen import SeenIds

# Rows of a transaction: so few that an interrupted import loses only seconds of work, so many that the time a query
# always takes hardly counts.
BATCH_ROWS = 500

Row = TypeVar("Row", Product, PhotoRow)


class Progress(Protocol):
    def __call__(self, bytes_read: int, rows: int) -> None: ...


@dataclass(slots=True)
class Tally:
    """What became of a file's rows."""

    rows: int = 0
    made: int = 0
    there: int = 0


@dataclass(frozen=True, slots=True)
class Importer(Generic[Row]):
    """How the rows of one file are read and saved; `save` returns made, already there, findings."""

    columns: Columns
    read: Callable[[Record], tuple[Row | None, list[Finding]]]
    save: Callable[[Sequence[Row]], tuple[int, int, list[Finding]]]

    def import_file(self, file: CsvFile, findings: FileFindings, progress: Progress) -> Tally:
        """Import the open file; each batch is committed and reported before the next one is read."""
        tally = Tally()
        for column in self.columns.optional:
            if column not in file.columns:
                findings.add(Finding(Kind.NOTE, 1, column, "", "no such column; left empty"))
        with SeenIds() as seen:
            for batch in read_batches(file, BATCH_ROWS):
                rows, wrong = self._parse_distinct_rows(batch, seen)
                made, there, more = self.save(rows)
                # Findings of reading and of saving are sorted together, so that the report follows the file's lines.
                for finding in sorted(wrong + more, key=lambda found: found.line):
                    findings.add(finding)
                tally.rows += len(batch)
                tally.made += made
                tally.there += there
                progress(file.bytes_read, tally.rows)
        return tally

    def _parse_distinct_rows(
        self, batch: Sequence[Record | BrokenRecord], seen: SeenIds
    ) -> tuple[list[Row], list[Finding]]:
        rows: list[Row] = []
        findings: list[Finding] = []
        for record in batch:
            if isinstance(record, BrokenRecord):
                findings.append(Finding(Kind.REFUSED, record.line, "", "", record.reason))
                continue
            row, wrong = self.read(record)
            findings += wrong
            if row is not None:
                rows.append(row)
        # One call for the whole batch, because a call of its own for each row would slow reading down.
        first_lines = seen.record_first_lines([(row.id, row.line) for row in rows])
        repeated = {row.line: first_lines[row.id] for row in rows if first_lines[row.id] != row.line}
        # A row that repeats an id is left out as a whole, so what else is wrong with it helps nobody.
        findings = [found for found in findings if found.line not in repeated]
        findings += [
            Finding(Kind.REPEATED, row.line, "id", row.id, f"repeats line {repeated[row.line]}; row left out")
            for row in rows
            if row.line in repeated
        ]
        return [row for row in rows if row.line not in repeated], findings


def read_batches(file: CsvFile, size: int) -> Iterator[list[Record | BrokenRecord]]:
    records = iter(file)
    while batch := list(islice(records, size)):
        yield batch


def product_importer(now: datetime) -> Importer[Product]:
    currency = settings.MARKETPLACE_CURRENCY
    return Importer(PRODUCT_COLUMNS, lambda record: parse_product(record, currency, now), save_new_products)


def photo_importer(pictures: PictureFiles, now: datetime) -> Importer[PhotoRow]:
    return Importer(PHOTO_COLUMNS, lambda record: parse_photo_row(record, now), PictureFolder(pictures).import_photos)
