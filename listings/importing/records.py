"""A CSV file as records, each with the physical line it starts on; one record is held at a time.

A record that cannot be read is handed out as `Broken`, and reading goes on at the line after its first one: a lost
quote costs one row, not the rest of the file.
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

RECORD_LIMIT = 1 << 20  # bytes; a longer record is a quote that was never closed
WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class CatalogueError(Exception):
    """The whole file cannot be imported; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Columns:
    required: Sequence[str]
    optional: Sequence[str]


@dataclass(frozen=True, slots=True)
class Record:
    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Broken:
    line: int
    reason: str


def decode_line(raw: bytes) -> tuple[str, bool]:
    """The text of a line and whether it was UTF-8; Windows-1252 otherwise, U+FFFD for bytes that are neither."""
    try:
        return raw.decode("utf-8"), True
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace"), False


class Lines:
    """Physical lines for `csv.reader`; those of a broken record can be given back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._number = 0
        self._ahead: deque[tuple[int, bytes]] = deque()
        self._taken: list[tuple[int, bytes]] = []
        self._size = 0
        self._last_foreign = 0
        self.first_foreign = 0
        self.foreign = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        number, raw = self._ahead.popleft() if self._ahead else self._read()
        self._taken.append((number, raw))
        self._size += len(raw)
        if self._size > RECORD_LIMIT:
            raise csv.Error("a quote is never closed, or the line is far too long")
        text, is_utf8 = decode_line(raw)
        if not is_utf8 and number > self._last_foreign:
            self._last_foreign = number
            self.first_foreign = self.first_foreign or number
            self.foreign += 1
        return text

    def begin_record(self) -> None:
        self._taken.clear()
        self._size = 0

    @property
    def record_line(self) -> int:
        return self._taken[0][0] if self._taken else self._number

    def resume_after_first_line(self) -> None:
        self._ahead.extendleft(reversed(self._taken[1:]))

    def _read(self) -> tuple[int, bytes]:
        raw = self._file.readline(RECORD_LIMIT + 1)
        if not raw:
            raise StopIteration
        rest = raw
        while len(rest) > RECORD_LIMIT and not rest.endswith(b"\n"):
            rest = self._file.readline(RECORD_LIMIT + 1)
        self._number += 1
        return self._number, raw.removeprefix(codecs.BOM_UTF8) if self._number == 1 else raw


class CatalogueFile:
    """The records of one file below its header; close it, or use it in a `with` block."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as exc:
            raise CatalogueError(f"{path} cannot be opened: {exc.strerror}.") from exc
        self.size = path.stat().st_size
        self._lines = Lines(self._file)
        self._reader = csv.reader(self._lines, strict=True)
        try:
            self._refuse_wide_text()
            self._header = self._read_header(columns)
        except CatalogueError:
            self._file.close()
            raise
        self.missing = [name for name in columns.optional if name not in self._header]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Record | Broken]:
        while True:
            self._lines.begin_record()
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as exc:
                yield self._broken(f"not readable as CSV: {exc}")
                continue
            if not any(cells):
                continue
            if len(cells) != len(self._header):
                yield self._broken(f"{len(cells)} cells, but the header names {len(self._header)} columns")
                continue
            yield Record(self._lines.record_line, dict(zip(self._header, cells, strict=True)))

    @property
    def bytes_read(self) -> int:
        return self._file.tell()

    @property
    def foreign_lines(self) -> tuple[int, int]:
        """The first line that is not UTF-8 and how many there are so far."""
        return self._lines.first_foreign, self._lines.foreign

    def _broken(self, reason: str) -> Broken:
        self._lines.resume_after_first_line()
        return Broken(self._lines.record_line, reason)

    def _refuse_wide_text(self) -> None:
        if self._file.read(2) in WIDE_MARKS:
            raise CatalogueError(f"{self.path} is UTF-16 text; save it as CSV in UTF-8 and import that.")
        self._file.seek(0)

    def _read_header(self, columns: Columns) -> list[str]:
        try:
            names = next((row for row in self._reader if any(row)), [])
        except csv.Error as exc:
            raise CatalogueError(f"{self.path} is not readable as CSV, line 1: {exc}.") from exc
        header = [name.strip().lower() for name in names]
        if missing := [name for name in columns.required if name not in header]:
            raise CatalogueError(
                f"{self.path} has no column {', '.join(missing)}. Needed: {', '.join(columns.required)};"
                f" also read when there: {', '.join(columns.optional)}."
            )
        twice = [name for name, count in Counter(header).items() if name and count > 1]
        if twice:
            raise CatalogueError(f"{self.path} names the column {', '.join(twice)} more than once.")
        return header
