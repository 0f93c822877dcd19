"""The physical lines of a CSV file, numbered; those of a record that makes no sense can be read again."""

from __future__ import annotations

import csv
from collections import deque
from typing import IO, Self

from .encodings import LINE_LIMIT, UNDECODED

RECORD_LIMIT = LINE_LIMIT  # characters; in a longer record a quote was most likely never closed
MARK = "\ufeff"


class NumberedLines:
    """Lines for `csv.reader`. Memory holds the lines of one record, however long the file is."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._last_number = 0
        self._to_read_again: deque[tuple[int, str]] = deque()
        self._of_record: list[tuple[int, str]] = []
        self._record_size = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        number, line = self._to_read_again.popleft() if self._to_read_again else self._read_line()
        self._of_record.append((number, line))
        self._record_size += len(line)
        if self._record_size > RECORD_LIMIT:
            raise csv.Error("a quote is never closed, or the line is far too long")
        return line

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

    @property
    def is_record_one_whole_line(self) -> bool:
        """Whether the record is a single line that was not cut off at the end of the file."""
        return len(self._of_record) == 1 and self._of_record[0][1].endswith(("\n", "\r"))

    def find_undecoded_line(self) -> str | None:
        """The first line of the record with bytes that are no text."""
        return next((line for _, line in self._of_record if not line.isascii() and UNDECODED.search(line)), None)

    def resume_after_first_line(self) -> None:
        """Hand out all lines of the record but its first one again, each as if a record started there."""
        self._to_read_again.extendleft(reversed(self._of_record[1:]))

    def read_record_again(self) -> None:
        """Hand out all lines of the record again."""
        self._to_read_again.extendleft(reversed(self._of_record))
        self.begin_record()

    def _read_line(self) -> tuple[int, str]:
        line = self._text.readline(RECORD_LIMIT + 1)
        if not line:
            raise StopIteration
        # The rest of an endless line is read and dropped: memory holds its beginning, which is enough to refuse it.
        rest = line
        while len(rest) > RECORD_LIMIT and not rest.endswith(("\n", "\r")):
            rest = self._text.readline(RECORD_LIMIT + 1)
        self._last_number += 1
        # A byte order mark stands at the head of a file, and of each part of one that was joined from several; it would
        # become part of the first cell, or keep a quote there from being one.
        return self._last_number, line.lstrip(MARK)
