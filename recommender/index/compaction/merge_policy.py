"""When to flush and what to merge: pure decisions, tested without a database and files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Segments of up to TIER_BASE live rows are of tier 0, and each next tier takes segments TIER_FACTOR times as large. A
# tier is merged when it is full, so that a row is rewritten once for each tier and not at every merge.
TIER_BASE = 1_000
TIER_FACTOR = 4

# This many segments make a tier full. If it took more, searches would visit more segments; if it took fewer, rows would
# be rewritten more often.
SEGMENTS_PER_TIER = 4

# Once a snapshot is this old, changes are flushed however few rows they concern.
FLUSH_AFTER_SECONDS = 120

# What a snapshot has not taken in cannot be pruned from the feed. So once the feed holds this many rows the snapshot is
# replaced, even where none of them concerns it.
LONG_FEED = 20_000


@dataclass(frozen=True)
class SegmentSize:
    """What decides whether a segment is merged.

    rows: dead ones included
    dead_seconds: for how long it has held dead rows
    untrained: it is large enough for an inverted file, and is compared whole until a merge trains one
    """

    rows: int
    live: int
    dead_seconds: float = 0.0
    untrained: bool = False


def is_flush_due(changed: int, age_seconds: float, flush_rows: int) -> bool:
    """Whether the rows that changed since the snapshot are to be written as a segment.

    age_seconds: of the snapshot; infinite if there is none
    """
    return changed > 0 and (changed >= flush_rows or age_seconds >= FLUSH_AFTER_SECONDS)


def is_empty_flush_due(feed_rows: int, age_seconds: float) -> bool:
    """Whether a snapshot must move on although nothing changed in it, so that the feed can be pruned.

    While another model is backfilled the feed grows long with rows that do not concern this one.
    """
    return feed_rows >= LONG_FEED and FLUSH_AFTER_SECONDS <= age_seconds < math.inf


def plan_merge(sizes: Sequence[SegmentSize], purge_seconds: float) -> list[int]:
    """Which segments to rewrite as one; empty when all may stay.

    1. Segments that are more than half dead, or have held dead rows for `purge_seconds`: vectors of deleted photos
       must leave the files.
    2. The lowest full tier. Segments grow from tier to tier, so each row is rewritten O(log N) times.
    3. Segments that a large flush left untrained.
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
