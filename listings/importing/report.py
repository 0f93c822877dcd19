"""What was wrong with which cell: one line per reason in a CSV file, counts by kind for the screen."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from .records import CatalogueError

VALUE_LIMIT = 200
FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")


class Kind(StrEnum):
    """Singular and plural of what the screen counts."""

    NOTE = "note|notes"
    BAD_CELL = "bad cell|bad cells"
    REPEATED = "repeated row|repeated rows"
    REFUSED = "refused row|refused rows"
    NO_LISTING = "row without a listing|rows without a listing"
    NO_FILE = "row without a file|rows without a file"
    BAD_PHOTO = "bad photo|bad photos"
    TOO_MANY = "photo too many|photos too many"

    def counted(self, count: int) -> str:
        return f"{count:,} {self.value.split('|')[count != 1]}"


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    line: int
    column: str
    value: str
    reason: str


def harmless(value: str) -> str:
    """The cell as one short line that a spreadsheet shows instead of computing."""
    text = " ".join(value[:VALUE_LIMIT].replace("\0", "\\0").split())
    return f"'{text}" if text.startswith(FORMULA_MARKS) else text


class Report:
    """Writes findings as they come, so that an interrupted import leaves what it found."""

    HEADER = ("line", "file", "column", "value", "reason")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: dict[str, Counter[Kind]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", newline="", buffering=1)
        except OSError as exc:
            raise CatalogueError(f"The report {path} cannot be written: {exc.strerror}.") from exc
        self._writer = csv.writer(self._file)
        self._writer.writerow(self.HEADER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._file.close()

    @property
    def total(self) -> int:
        return sum(counter.total() for counter in self.counts.values())

    def add(self, file: str, finding: Finding) -> None:
        self.counts.setdefault(file, Counter())[finding.kind] += 1
        self._writer.writerow((finding.line, file, finding.column, harmless(finding.value), finding.reason))
