"""What came of a fault, and which promises it broke."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from .fault import Fault
from .notebook import Save
from .watching import find_longest_gap


@dataclass(kw_only=True)
class Outcome:
    """Times are seconds: `back` from the fault until a photo saved after it was found, None where none was; `slowest`
    the longest that any photo took from its save, or the fault's end if that came later, until it was found."""

    fault: str
    saved: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    gap: float = 0.0
    save_gap: float = 0.0
    back: float | None = None
    slowest: float = 0.0
    judged: int = 0
    failed: dict[str, dict[str, int]] = field(default_factory=dict)
    traces: int = 0
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def broken(self) -> list[str]:
        """Promises that were not kept, in words."""
        never = ["nothing that was saved after the fault was found"] if self.back is None else []
        return [*self.lost, *self.doubled, *self.differences, *self.stale, *self.refused, *self.late, *never]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def judge_saves(fault: Fault, saves: Sequence[Save], visits: Iterable[float], start: float, end: float) -> Outcome:
    """What savers and visitors tell of a fault that began at `start`, where the site may mend from `end` on. `visits`
    are the moments in which a visitor got a page."""
    acknowledged = {save: save.acknowledged for save in saves if save.acknowledged is not None}
    last = max([end, *acknowledged.values()])
    waits = {save: save.found - max(moment, end) for save, moment in acknowledged.items() if save.found is not None}
    outcome = Outcome(
        fault=fault.name,
        saved=len(acknowledged),
        refused=[f"{save.title} by {save.door}: {save.refusal}" for save in saves if save.refusal],
        gap=find_longest_gap(visits, start, last),
        save_gap=find_longest_gap(acknowledged.values(), start, last),
        back=min((save.found - end for save in waits if save.found is not None and save.began > end), default=None),
        slowest=max(waits.values(), default=0.0),
    )
    if fault.back_within is not None and max(outcome.slowest, outcome.back or 0.0) > fault.back_within:
        title = max(waits, key=waits.__getitem__).title
        first = format_seconds(outcome.back)
        outcome.late = [f"{title} was found after {outcome.slowest:.1f} s, the first new one after {first}"]
    return outcome


def format_seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"
