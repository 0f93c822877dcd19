"""When to flush, and which segments to merge."""

import math

import pytest

from recommender.index.compaction.merge_policy import (
    LONG_FEED,
    SegmentSize,
    is_empty_flush_due,
    is_flush_due,
    plan_merge,
)


@pytest.mark.parametrize(
    ("changed", "age", "due"),
    [(0, 1e9, False), (1, 0, False), (1, 120, True), (1, math.inf, True), (1999, 119, False), (2000, 0, True)],
)
def test_a_flush_is_due_when_much_changed_or_something_waited_long(changed, age, due):
    assert is_flush_due(changed, age, flush_rows=2000) is due


def test_when_a_quiet_snapshot_moves_on():
    assert not is_empty_flush_due(LONG_FEED - 1, 1e9)
    assert not is_empty_flush_due(LONG_FEED, 119)
    assert is_empty_flush_due(LONG_FEED, 120)
    assert not is_empty_flush_due(LONG_FEED, float("inf"))


@pytest.mark.parametrize(
    ("sizes", "merged"),
    [
        ([], []),
        ([SegmentSize(900, 900)] * 3, []),
        ([SegmentSize(900, 900)] * 4, [0, 1, 2, 3]),
        ([SegmentSize(10_000, 10_000), *[SegmentSize(900, 900)] * 4], [1, 2, 3, 4]),
        ([SegmentSize(10_000, 4_000), SegmentSize(900, 900)], [0]),
        ([SegmentSize(10_000, 9_999, dead_seconds=99)], []),
        ([SegmentSize(10_000, 9_999, dead_seconds=100)], [0]),
        ([SegmentSize(4_000, 4_000)] * 4, [0, 1, 2, 3]),
        ([SegmentSize(4_001, 4_001), *[SegmentSize(4_000, 4_000)] * 3], []),
        ([SegmentSize(9_000, 9_000), SegmentSize(20_000, 20_000, untrained=True)], [1]),
        ([SegmentSize(20_000, 20_000, untrained=True)] * 2, [0, 1]),
        ([SegmentSize(20_000, 20_000, untrained=True), *[SegmentSize(900, 900)] * 4], [1, 2, 3, 4]),
        ([SegmentSize(20_000, 20_000, untrained=True), SegmentSize(900, 400)], [1]),
    ],
)
def test_full_tiers_and_half_dead_or_overdue_segments_are_merged(sizes, merged):
    assert plan_merge(sizes, purge_seconds=100) == merged


@pytest.mark.parametrize("flushed", [2_000, 10_000, 20_000])
def test_each_row_is_rewritten_a_logarithmic_number_of_times(flushed):
    """What large flushes leave untrained is written once more."""
    sizes, written = [], 0
    for _ in range(1_000_000 // flushed):
        sizes.append(SegmentSize(flushed, flushed, untrained=flushed >= 10_000))
        written += flushed
        while merging := plan_merge(sizes, 1e9):
            total = sum(sizes[number].rows for number in merging)
            sizes = [size for number, size in enumerate(sizes) if number not in merging] + [SegmentSize(total, total)]
            written += total
    assert sum(size.rows for size in sizes) == 1_000_000
    assert written <= 6 * 1_000_000
    assert len(sizes) <= 20
