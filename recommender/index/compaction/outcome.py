"""What a compaction reports: to the operator, to the log and to its tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """One thing that a compaction did, or why it did nothing."""

    BUSY = "busy"  # another process holds the lease, so this one did not begin
    NOTHING = "nothing"
    FLUSHED = "flushed"
    MERGED = "merged"
    REBUILT = "rebuilt"
    SUPERSEDED = "superseded"  # another process took the lease meanwhile, so what was built is thrown away
    FAILED = "failed"  # readers go on with what they have; the log says why


@dataclass(frozen=True)
class CompactionOutcome:
    """What a compaction did, in this order. `snapshot` is the one served afterwards."""

    actions: tuple[Action, ...]
    snapshot: int | None = None
