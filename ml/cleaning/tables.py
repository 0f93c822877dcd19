"""A CSV file as rows, each with the line it starts on; a row that cannot be read is handed out as the reason."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from ml.errors import MlError


class TableError(MlError):
    """A CSV file cannot be used; the message names the file and what to change."""


class Table:
    """The rows of one CSV file below its header; close it, or use it in a `with` block."""

    def __init__(self, path: Path, required: Sequence[str]) -> None:
        """Open the file and read its header.

        Raises:
            TableError: the file cannot be opened or is empty, or a required column is not in it.
        """
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as exc:
            raise TableError(f"{path} cannot be read: {exc.strerror}.") from exc
        self._reader = csv.reader(_text_lines(path, self._file), strict=True)
        try:
            self._header = self._read_header(required)
        except TableError:
            self._file.close()
            raise
        self.columns = [name for name in self._header if name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[tuple[int, dict[str, str] | str]]:
        """(line, cells by column, or why the row cannot be read); `TableError` at bytes that are not UTF-8."""
        while True:
            line = self._reader.line_num + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as exc:
                yield line, f"not readable as CSV, up to line {self._reader.line_num}: {exc}"
                continue
            if len(cells) == len(self._header):
                yield line, {name: cell for name, cell in zip(self._header, cells, strict=True) if name}
            elif cells:
                yield line, f"{len(cells)} cells, but the header names {len(self._header)} columns"

    def _read_header(self, required: Sequence[str]) -> list[str]:
        try:
            header = [name.strip().lower() for name in next(self._reader, [])]
        except csv.Error as exc:
            raise TableError(f"{self.path}, line 1, is not readable as CSV: {exc}.") from exc
        if not any(header):
            raise TableError(f"{self.path} is empty; its first line must name the columns.")
        if missing := [name for name in required if name not in header]:
            found = ", ".join(filter(None, header))
            raise TableError(f"{self.path} has no column {' and '.join(missing)}; its first line names: {found}.")
        if twice := [name for name, count in Counter(filter(None, header)).items() if count > 1]:
            raise TableError(f"{self.path} names the column {twice[0]} more than once.")
        return header


def _text_lines(path: Path, file: BinaryIO) -> Iterator[str]:
    for number, raw in enumerate(file, 1):
        line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
        if number == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise TableError(f"{path} is UTF-16 text; save it as CSV in UTF-8.")
        try:
            yield line.decode()
        except UnicodeDecodeError as exc:
            raise TableError(f"{path}, line {number}, is not UTF-8 text; save it as CSV in UTF-8.") from exc
