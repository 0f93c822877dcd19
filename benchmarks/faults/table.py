"""Outcomes as a table, one row a fault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .outcome import Outcome, format_seconds

COUNTS = {"lost": "lost", "doubled": "doubled", "refused": "refused", "stale": "stale", "differ": "differences"}
TIMES = {"longest gap": "gap", "back after": "back", "slowest": "slowest"}
HEAD = ("fault", "rounds", "saved", *COUNTS, "judged", *TIMES, "5xx")


def describe_outcome(outcome: Outcome) -> str:
    """One line, for those who wait."""
    return (
        f"{outcome.fault}: {outcome.saved} saved, {len(outcome.lost)} lost, {len(outcome.doubled)} doubled, "
        f"{len(outcome.refused)} refused, gap {outcome.gap:.1f} s, back after {format_seconds(outcome.back)}, "
        f"slowest {outcome.slowest:.1f} s ({outcome.seconds:.0f} s){format_failed([outcome])}"
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
    return (
        name,
        str(len(outcomes)),
        str(sum(one.saved for one in outcomes)),
        *(str(sum(len(getattr(one, kind)) for one in outcomes)) for kind in COUNTS.values()),
        str(sum(one.judged for one in outcomes)),
        *(format_seconds(_find_worst([getattr(one, kind) for one in outcomes])) for kind in TIMES.values()),
        format_failed(outcomes).strip(" ,"),
    )


def _find_worst(times: Sequence[float | None]) -> float | None:
    """The longest of these times; None, which is never, is longer than all."""
    known = [seconds for seconds in times if seconds is not None]
    return max(known) if len(known) == len(times) else None


def format_failed(outcomes: Iterable[Outcome]) -> str:
    """How often each kind of trouble was answered to visitors and savers together."""
    sums: dict[str, int] = {}
    for outcome in outcomes:
        for kinds in outcome.failed.values():
            for kind, count in kinds.items():
                sums[kind] = sums.get(kind, 0) + count
    return "".join(f", {count} x {kind}" for kind, count in sorted(sums.items()))
