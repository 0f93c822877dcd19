"""What was wrong with which cell or row: one line each in a CSV file, and counts by kind for the screen."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import IO

from .counts import describe_count

VALUE_LIMIT = 200  # characters; a broken cell may hold a megabyte, and people read the report
FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet may run a cell that starts with one of these


class Kind(StrEnum):
    """What is counted, in the singular and in the plural. Cleaning counts images, the import rows."""

    NOTE = "note|notes"
    BAD_CELL = "bad cell|bad cells"
    BAD_ROW = "row that cannot be read|rows that cannot be read"
    SHORT_ROW = "short row|short rows"
    REPEATED = "repeated row|repeated rows"
    REFUSED = "refused row|refused rows"
    IMAGE_WITHOUT_LISTING = "image without a listing|images without a listing"
    IMAGE_WITHOUT_LABEL = "image of a listing without a category|images of listings without a category"
    IMAGE_WITHOUT_FILE = "image without a file|images without a file"
    ROW_WITHOUT_LISTING = "row without a listing|rows without a listing"
    ROW_WITHOUT_FILE = "row without a file|rows without a file"
    BAD_PHOTO = "bad photo|bad photos"
    TOO_MANY = "photo too many|photos too many"

    def describe_count(self, count: int) -> str:
        """Such as `7 bad cells`."""
        return describe_count(count, *self.value.split("|"))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where, with what, and why. The column is empty when it is the whole row."""

    kind: Kind
    line: int
    column: str
    value: str
    reason: str


def sanitise_cell(value: str) -> str:
    """The cell as one short line that a spreadsheet shows instead of computing."""
    text = " ".join(value[:VALUE_LIMIT].replace("\0", "\\0").split())
    return f"'{text}" if text.startswith(FORMULA_MARKS) else text


class Report:
    """Writes findings as they come, so that whoever is interrupted leaves what was found until then."""

    def __init__(self, file: IO[str], columns: Sequence[str], lineterminator: str = "\r\n") -> None:
        """Begin a CSV file of these columns, chosen from file, line, column, value and reason."""
        self._writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator=lineterminator)
        self._writer.writeheader()
        self._files: list[FileFindings] = []

    @property
    def total_findings(self) -> int:
        """How many findings there are in all files."""
        return sum(findings.counts.total() for findings in self._files)

    def begin_file(self, name: str) -> FileFindings:
        """Where to add the findings of one file."""
        findings = FileFindings(name, self)
        self._files.append(findings)
        return findings

    def write_row(self, file: str, finding: Finding) -> None:
        """Write one line of the report."""
        row = {"file": file, "line": finding.line, "column": finding.column, "reason": finding.reason}
        self._writer.writerow(row | {"value": sanitise_cell(finding.value)})


class FileFindings:
    """The part of a report that is about one file, counted by kind in the order in which the kinds appeared."""

    def __init__(self, name: str, report: Report) -> None:
        self.name = name
        self.counts: Counter[Kind] = Counter()
        self._report = report

    def add(self, finding: Finding) -> None:
        """Write a finding down and count it."""
        self.counts[finding.kind] += 1
        self._report.write_row(self.name, finding)
