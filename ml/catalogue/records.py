"""A CSV file as records, each with the physical line it starts on; one record is held at a time.

A record that cannot be read is handed out as `BrokenRecord`, and reading goes on at the line after its first one: a
lost quote costs one row, not the rest of the file. Spreadsheets pad rows with empty cells and cut empty ones off at the
end: the first are dropped, the others read as empty and told, if no required cell is among them.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .cells import remove_invisible
from .counts import describe_count, show_text
from .encodings import CatalogueError, describe_undecoded, name_encoding, open_text
from .lines import RECORD_LIMIT, NumberedLines

SEPARATORS = ",;\t|"
# Spreadsheets write this line above the header, and read it, to say which separator follows.
SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)

# The limit is one of the whole process, and 128 KiB unless somebody sets it: a picture in a column that nobody reads
# would cost the row. Records are bounded in any case.
csv.field_size_limit(RECORD_LIMIT)


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one row by column; columns without a name are left out. `note` says what was made up for, if any."""

    line: int
    cells: dict[str, str]
    note: str = ""


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """A row that cannot be read."""

    line: int
    reason: str


class CsvFile:
    """The records of one file below its header; close it, or use it in a `with` block."""

    def __init__(self, path: Path, required: Sequence[str], encoding: str | None = None) -> None:
        """Open the file, look at the encoding of every line, and read the header.

        Raises:
            CatalogueError: the file cannot be opened, is in another encoding or no CSV, or a required column is missing
                or there twice.
        """
        self.path = path
        self.required = required
        try:
            self._file = path.open("rb")
            try:
                self._text = open_text(self._file, path, encoding)
                self._lines = NumberedLines(self._text)
                self._reader, self._first_row = self._find_header()
                self._header = self._parse_header(self._first_row)
            except BaseException:
                self._file.close()
                raise
        except OSError as exc:
            raise CatalogueError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
        self.columns = [name for name in self._header if name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._text.close()

    def __iter__(self) -> Iterator[Record | BrokenRecord]:
        """Yield what the file holds in its order; rows of empty cells, and the header again, say nothing."""
        while True:
            self._lines.begin_record()
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as exc:
                reason = f"not readable as CSV, up to line {self._lines.record_end_line}: {explain_csv_error(exc)}"
                yield self._abandon_record(reason)
                continue
            if is_blank(row) or row == self._first_row:
                continue
            if line := self._lines.find_undecoded_line():
                yield BrokenRecord(self._lines.record_start_line, self._explain_undecoded(line))
                continue
            yield self._make_record(row)

    @property
    def bytes_read(self) -> int:
        """How far into the file the reading is."""
        return self._file.tell()

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        return self.path.stat().st_size

    def _make_record(self, row: list[str]) -> Record | BrokenRecord:
        line, width, note = self._lines.record_start_line, len(self._header), ""
        if len(row) > width and is_blank(row[width:]):
            row = row[:width]
        if self._is_cut_off(row):
            note = f"{describe_count(len(row), 'cell')} for {width} columns; those that are missing were read as empty"
            row = row + [""] * (width - len(row))
        if len(row) != width:
            return self._abandon_record(f"{describe_count(len(row), 'cell')}, but the header names {width} columns")
        return Record(line, {name: cell for name, cell in zip(self._header, row, strict=True) if name}, note)

    def _is_cut_off(self, row: Sequence[str]) -> bool:
        """Whether a row lacks cells at its end that it may lack; half a line at the end of a file is none."""
        return (
            len(row) < len(self._header)
            and self._lines.is_record_one_whole_line
            and set(self.required) <= set(self._header[: len(row)])
        )

    def _abandon_record(self, reason: str) -> BrokenRecord:
        self._lines.resume_after_first_line()
        return BrokenRecord(self._lines.record_start_line, reason)

    def _explain_undecoded(self, line: str) -> str:
        return f"is not {name_encoding(self._text)} text: it holds {describe_undecoded(line, self._text.encoding)}"

    def _find_header(self) -> tuple[Iterator[list[str]], list[str]]:
        """A reader with the separator by which the first row names the required columns, and that row."""
        told = self._read_separator_line()
        refusals = []
        for separator in told or SEPARATORS:
            reader = csv.reader(self._lines, delimiter=separator, strict=True)
            try:
                row = self._read_first_row(reader)
            except csv.Error as exc:
                refusals.append(f"{self.path}, line 1, is not readable as CSV: {explain_csv_error(exc)}.")
            else:
                names = parse_names(row)
                missing = [name for name in self.required if name not in names]
                if not missing:
                    return reader, row
                refusals.append(self._explain_missing_columns(missing, names))
            self._lines.read_record_again()
        raise CatalogueError(refusals[0])

    def _read_separator_line(self) -> str:
        match = SEPARATOR_LINE.fullmatch(next(self._lines, ""))
        if match is None:
            self._lines.read_record_again()
            return ""
        return match[1]

    def _read_first_row(self, reader: Iterator[list[str]]) -> list[str]:
        row: list[str] = []
        while is_blank(row):
            self._lines.begin_record()
            try:
                row = next(reader)
            except StopIteration:
                return []
        return row

    def _parse_header(self, row: Sequence[str]) -> list[str]:
        if line := self._lines.find_undecoded_line():
            raise CatalogueError(f"{self.path}, line {self._lines.record_end_line}, {self._explain_undecoded(line)}.")
        names = parse_names(row)
        if repeated := [name for name, count in Counter(names).items() if name and count > 1]:
            raise CatalogueError(f"{self.path} names the column {show_text(', '.join(repeated))} more than once.")
        return names

    def _explain_missing_columns(self, missing: Sequence[str], names: Sequence[str]) -> str:
        found = show_text(", ".join(filter(None, names)))
        if not found:
            return f"{self.path} is empty; its first line must name the columns."
        return f"{self.path} has no column {' and '.join(missing)}; its first line names: {found}."


def is_blank(row: Sequence[str]) -> bool:
    """Whether all of its cells are empty, as those of `,,,` are."""
    return not any(cell and not cell.isspace() for cell in row)


def parse_names(row: Sequence[str]) -> list[str]:
    """The names of columns, whatever their case, and without space and what nobody sees."""
    return [" ".join(remove_invisible(name).lower().split()) for name in row]


def explain_csv_error(exc: csv.Error) -> str:
    """What the library says, but for a sentence of it that speaks to programmers."""
    return "a line break in a cell without quotes" if "new-line character" in str(exc) else str(exc)
