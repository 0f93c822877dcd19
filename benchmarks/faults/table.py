"""Outcomes as a table, one row a fault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .episode import Outcome

HEAD = ("fault", "rounds", "saved", "lost", "doubled", "stale", "differ", "longest gap", "back after", "slowest", "5xx")


def describe_outcome(outcome: Outcome) -> str:
    """One line, for those who wait."""
    return (
        f"{outcome.fault}: {outcome.saved} saved, {len(outcome.lost)} lost, {len(outcome.doubled)} doubled, gap "
        f"{outcome.gap:.1f} s, back after {outcome.back:.1f} s, slowest {outcome.slowest:.1f} s "
        f"({outcome.seconds:.0f} s){format_failed([outcome])}"
    )


def make_rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """A row for each fault: sums over the rounds, and the worst of their times."""
    by_fault: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_fault.setdefault(outcome.fault, []).append(outcome)
    return [_make_row(name, some) for name, some in by_fault.items()]


def format_table(outcomes: Sequence[Outcome]) -> str:
    rows = [HEAD, *make_rows(outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _make_row(name: str, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    counts = (sum(len(getattr(one, kind)) for one in outcomes) for kind in ("lost", "doubled", "stale", "differences"))
    times = (max(getattr(one, kind) for one in outcomes) for kind in ("gap", "back", "slowest"))
    return (
        name,
        str(len(outcomes)),
        str(sum(one.saved for one in outcomes)),
        *map(str, counts),
        *(f"{seconds:.1f} s" for seconds in times),
        format_failed(outcomes).strip(" ,"),
    )


def format_failed(outcomes: Iterable[Outcome]) -> str:
    """How often each kind of trouble was answered to visitors and savers together."""
    sums: dict[str, int] = {}
    for outcome in outcomes:
        for kinds in outcome.failed.values():
            for kind, count in kinds.items():
                sums[kind] = sums.get(kind, 0) + count
    return "".join(f", {count} x {kind}" for kind, count in sorted(sums.items()))
