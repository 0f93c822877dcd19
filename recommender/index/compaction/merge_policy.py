"""When to flush and what to merge. Pure decisions, so their whole matrix is tested without a database."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

TIER_BASE = 1_000
TIER_FACTOR = 4
SEGMENTS_PER_TIER = 4
FLUSH_AFTER_SECONDS = 120
LONG_FEED = 20_000


@dataclass(frozen=True)
class SegmentSize:
    """A segment's rows, how many of them are live, for how many seconds it has held dead ones, and whether it is
    searched whole until it is rewritten."""

    rows: int
    live: int
    dead_seconds: float = 0.0
    untrained: bool = False


def is_flush_due(changed: int, age_seconds: float, flush_rows: int) -> bool:
    """Whether `changed` rows since the snapshot, `age_seconds` old (infinitely if there is none), make a segment."""
    return changed > 0 and (changed >= flush_rows or age_seconds >= FLUSH_AFTER_SECONDS)


def is_advance_due(feed_rows: int, age_seconds: float) -> bool:
    """Whether a snapshot that nothing changed must move on nevertheless, because a feed of such length waits for it.

    So it is while another model is backfilled: its rows concern this one not at all.
    """
    return feed_rows >= LONG_FEED and FLUSH_AFTER_SECONDS <= age_seconds < math.inf


def plan_merge(sizes: Sequence[SegmentSize], purge_seconds: float) -> list[int]:
    """Which segments to rewrite as one; empty when all may stay.

    Tiers grow by TIER_FACTOR: a full tier is merged into the next, so each row is rewritten O(log N) times. A segment
    more than half dead, or with dead rows older than `purge_seconds`, is rewritten (deleted photos leave the files);
    last comes what a large flush left untrained.
    """
    overdue = [
        number
        for number, size in enumerate(sizes)
        if size.live < size.rows and (size.live * 2 < size.rows or size.dead_seconds >= purge_seconds)
    ]
    if overdue:
        return overdue
    tiers: dict[int, list[int]] = {}
    for number, size in enumerate(sizes):
        tiers.setdefault(tier_of(size.live), []).append(number)
    full = [members for _, members in sorted(tiers.items()) if len(members) >= SEGMENTS_PER_TIER]
    return full[0] if full else [number for number, size in enumerate(sizes) if size.untrained]


def tier_of(live: int) -> int:
    level, limit = 0, TIER_BASE
    while live > limit:
        level, limit = level + 1, limit * TIER_FACTOR
    return level
