"""What a compaction reports: to the operator, to the log and to its tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """One thing that a compaction did, or why it did nothing."""

    BUSY = "busy"  # another process holds the lease
    NOTHING = "nothing"
    FLUSHED = "flushed"
    MERGED = "merged"
    REBUILT = "rebuilt"
    SUPERSEDED = "superseded"  # another compactor took over meanwhile, so nothing was published
    FAILED = "failed"  # the log says why


@dataclass(frozen=True)
class CompactionOutcome:
    """What a compaction did, in this order. `snapshot` is the one served afterwards."""

    actions: tuple[Action, ...]
    snapshot: int | None = None
