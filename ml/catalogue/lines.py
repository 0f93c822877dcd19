"""The physical lines of a CSV file, numbered and decoded; those of a record that makes no sense can be read again."""

from __future__ import annotations

import codecs
import csv
from collections import deque
from typing import BinaryIO, Self

RECORD_LIMIT = 1 << 20  # bytes; in a longer record a quote was most likely never closed


class NumberedLines:
    """Lines for `csv.reader`. Memory holds the lines of one record, however long the file is."""

    def __init__(self, file: BinaryIO, fallback_encoding: str | None = None) -> None:
        """Read lines as UTF-8, and those that are not UTF-8 in `fallback_encoding`, with U+FFFD for what neither knows.

        Without a fallback, such a line raises `UnicodeDecodeError` when it is reached.
        """
        self._file = file
        self._fallback_encoding = fallback_encoding
        self._last_number = 0
        self._to_read_again: deque[tuple[int, bytes]] = deque()
        self._of_record: list[tuple[int, bytes]] = []
        self._record_size = 0
        self._last_fallback = 0
        self.first_fallback = 0  # lines are counted from 1, so 0 says that all of them were UTF-8
        self.fallbacks = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        number, raw = self._to_read_again.popleft() if self._to_read_again else self._read_line()
        self._of_record.append((number, raw))
        self._record_size += len(raw)
        if self._record_size > RECORD_LIMIT:
            raise csv.Error("a quote is never closed, or the line is far too long")
        return self._decode_and_count_fallback(number, raw)

    def begin_record(self) -> None:
        """Forget the lines of the record before: they were understood."""
        self._of_record.clear()
        self._record_size = 0

    @property
    def record_start_line(self) -> int:
        """The line where the record starts."""
        return self._of_record[0][0] if self._of_record else self._last_number

    @property
    def record_end_line(self) -> int:
        """The line up to which the record was read."""
        return self._of_record[-1][0] if self._of_record else self._last_number

    def resume_after_first_line(self) -> None:
        """Hand out all lines of the record but its first one again, each as if a record started there."""
        self._to_read_again.extendleft(reversed(self._of_record[1:]))

    def _decode_and_count_fallback(self, number: int, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            if self._fallback_encoding is None:
                raise
        # A line that is handed out again, after a record that could not be read, was counted the first time.
        if number > self._last_fallback:
            self._last_fallback = number
            self.first_fallback = self.first_fallback or number
            self.fallbacks += 1
        return raw.decode(self._fallback_encoding, errors="replace")

    def _read_line(self) -> tuple[int, bytes]:
        raw = self._file.readline(RECORD_LIMIT + 1)
        if not raw:
            raise StopIteration
        # The rest of an endless line is read and dropped: memory holds its beginning, which is enough to refuse it.
        rest = raw
        while len(rest) > RECORD_LIMIT and not rest.endswith(b"\n"):
            rest = self._file.readline(RECORD_LIMIT + 1)
        self._last_number += 1
        # A byte order mark would become part of the name of the first column.
        return self._last_number, raw.removeprefix(codecs.BOM_UTF8) if self._last_number == 1 else raw
