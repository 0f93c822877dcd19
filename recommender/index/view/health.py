"""What a reader tells of itself to the people who run the site."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class IndexHealth:
    """`behind`: changes not yet searchable · `refreshed_s`: seconds since the last refresh · `problem`: in words."""

    usable: bool
    snapshot: int | None = None
    model: str | None = None
    rows: int = 0
    behind: int = 0
    refreshed_s: float | None = None
    problem: str | None = None
