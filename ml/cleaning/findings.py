"""What was wrong with a table, in the order of its lines, and how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """Singular and plural of what is counted."""

    BAD_CELL = "bad cell|bad cells"
    BAD_ROW = "row that cannot be read|rows that cannot be read"
    REPEATED = "repeated row|repeated rows"
    NO_LISTING = "image without a listing|images without a listing"
    NO_LABEL = "image of a listing without a category|images of listings without a category"
    NO_FILE = "image without a file|images without a file"

    def counted(self, count: int) -> str:
        """Such as `7 bad cells`."""
        return f"{count:,} {self.value.split('|')[count != 1]}"


@dataclass
class Findings:
    """One file's: `rows` are (file, line, column, reason)."""

    file: str
    rows: list[tuple[str, int, str, str]] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)

    def add(self, kind: Kind, line: int, column: str, reason: str) -> None:
        """Remember one."""
        self.rows.append((self.file, line, column, reason))
        self.counts[kind] += 1

    def __str__(self) -> str:
        return ", ".join(kind.counted(self.counts[kind]) for kind in Kind if self.counts[kind])
