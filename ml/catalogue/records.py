"""A CSV file as records, each with the physical line it starts on; one record is held at a time.

A record that cannot be read is handed out as `BrokenRecord`, and reading goes on at the line after its first one: a
lost quote costs one row, not the rest of the file.
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from ml.errors import MlError

from .lines import NumberedLines

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class CatalogueError(MlError):
    """A whole file of a catalogue cannot be used; the message names it and says what to do about it."""


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one row by column; columns without a name are left out."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """A row that cannot be read."""

    line: int
    reason: str


class CsvFile:
    """The records of one file below its header; close it, or use it in a `with` block.

    A subclass may forgive more and refuse in other words.
    """

    fallback_encoding: ClassVar[str | None] = None  # with None, the first line that is not UTF-8 ends the reading
    # Blank is a row such as `,,,`; below the header a line with nothing in it is skipped in any case.
    skips_blank_rows: ClassVar[bool] = False

    def __init__(self, path: Path, required: Sequence[str]) -> None:
        """Open the file and read its header.

        Raises:
            CatalogueError: the file cannot be opened or is no CSV, or a required column is missing or there twice.
        """
        self.path = path
        self.required = required
        try:
            self._file = path.open("rb")
        except OSError as exc:
            raise CatalogueError(self.explain_open_error(exc)) from exc
        self._lines = NumberedLines(self._file, self.fallback_encoding)
        self._reader = csv.reader(self._lines, strict=True)
        try:
            self._refuse_utf_16()
            self._header = self._read_header()
        except CatalogueError:
            self._file.close()
            raise
        self.columns = [name for name in self._header if name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Record | BrokenRecord]:
        """Yield what the file holds in its order.

        Raises:
            CatalogueError: a line is not UTF-8, and the class has no `fallback_encoding`.
        """
        while True:
            self._lines.begin_record()
            try:
                row = self._read_next_row()
            except StopIteration:
                return
            except csv.Error as exc:
                yield self._abandon_record(self.explain_csv_error(exc, self._lines.record_end_line))
                continue
            if self._is_skipped(row):
                continue
            if len(row) != len(self._header):
                yield self._abandon_record(f"{len(row)} cells, but the header names {len(self._header)} columns")
                continue
            cells = {name: cell for name, cell in zip(self._header, row, strict=True) if name}
            yield Record(self._lines.record_start_line, cells)

    @property
    def bytes_read(self) -> int:
        """How far into the file the reading is."""
        return self._file.tell()

    @property
    def fallback_summary(self) -> tuple[int, int]:
        """The first line that was not UTF-8 and how many there were so far."""
        return self._lines.first_fallback, self._lines.fallbacks

    def explain_open_error(self, exc: OSError) -> str:
        """Why the file cannot be opened, in a sentence."""
        return f"{self.path} cannot be read: {exc.strerror}."

    def explain_utf_16(self) -> str:
        """What to do about a file of two bytes a character."""
        return f"{self.path} is UTF-16 text; save it as CSV in UTF-8."

    def explain_header_error(self, exc: csv.Error) -> str:
        """Why the first line names no columns."""
        return f"{self.path}, line 1, is not readable as CSV: {exc}."

    def explain_missing_columns(self, missing: Sequence[str], header: Sequence[str]) -> str:
        """Which columns the file should have, and what it has."""
        if not any(header):
            return f"{self.path} is empty; its first line must name the columns."
        found = ", ".join(filter(None, header))
        return f"{self.path} has no column {' and '.join(missing)}; its first line names: {found}."

    def explain_csv_error(self, exc: csv.Error, last_line: int) -> str:
        """Why a record cannot be read, and the line where that showed."""
        return f"not readable as CSV, up to line {last_line}: {exc}"

    def _read_next_row(self) -> list[str]:
        try:
            return next(self._reader)
        except UnicodeDecodeError as exc:
            line = self._lines.record_end_line
            raise CatalogueError(f"{self.path}, line {line}, is not UTF-8 text; save it as CSV in UTF-8.") from exc

    def _is_skipped(self, row: Sequence[str]) -> bool:
        return not any(row) if self.skips_blank_rows else not row

    def _abandon_record(self, reason: str) -> BrokenRecord:
        self._lines.resume_after_first_line()
        return BrokenRecord(self._lines.record_start_line, reason)

    def _refuse_utf_16(self) -> None:
        if self._file.read(2) in UTF_16_MARKS:
            raise CatalogueError(self.explain_utf_16())
        self._file.seek(0)

    def _read_header(self) -> list[str]:
        header = [name.strip().lower() for name in self._read_first_row()]
        if missing := [name for name in self.required if name not in header]:
            raise CatalogueError(self.explain_missing_columns(missing, header))
        if repeated := [name for name, count in Counter(header).items() if name and count > 1]:
            raise CatalogueError(f"{self.path} names the column {', '.join(repeated)} more than once.")
        return header

    def _read_first_row(self) -> list[str]:
        try:
            while True:
                row = self._read_next_row()
                if any(row) or not self.skips_blank_rows:
                    return row
        except StopIteration:
            return []
        except csv.Error as exc:
            raise CatalogueError(self.explain_header_error(exc)) from exc
