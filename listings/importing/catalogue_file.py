"""The files that the import reads: it forgives more than cleaning does, because sellers made them, not the project."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ml.catalogue.records import CsvFile


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a file must have, and those that it may have."""

    required: Sequence[str]
    optional: Sequence[str]


class CatalogueFile(CsvFile):
    """A CSV file whose lines may be in UTF-8 or Windows-1252, and whose rows of empty cells say nothing."""

    fallback_encoding: ClassVar[str | None] = "cp1252"
    skips_blank_rows: ClassVar[bool] = True

    def __init__(self, path: Path, columns: Columns) -> None:
        self._optional = columns.optional
        super().__init__(path, columns.required)
        self.missing = [name for name in columns.optional if name not in self.columns]

    def explain_open_error(self, exc: OSError) -> str:
        return f"{self.path} cannot be opened: {exc.strerror}."

    def explain_utf_16(self) -> str:
        return f"{self.path} is UTF-16 text; save it as CSV in UTF-8 and import that."

    def explain_header_error(self, exc: csv.Error) -> str:
        return f"{self.path} is not readable as CSV, line 1: {exc}."

    def explain_missing_columns(self, missing: Sequence[str], header: Sequence[str]) -> str:
        return (
            f"{self.path} has no column {', '.join(missing)}. Needed: {', '.join(self.required)};"
            f" also read when there: {', '.join(self._optional)}."
        )

    def explain_csv_error(self, exc: csv.Error, last_line: int) -> str:
        return f"not readable as CSV: {exc}"
