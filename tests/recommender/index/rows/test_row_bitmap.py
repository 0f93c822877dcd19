"""Counts that are carried over from one selection to the next are those that counting again would give."""

import numpy as np
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from listings.finding.filterable import STATUSES
from recommender.index.rows.row_bitmap import LiveRows, RowBitmap
from tests.recommender.index.segments import plain_columns

ACTIVE, SOLD = (STATUSES.index("active"),), (STATUSES.index("active"), STATUSES.index("sold"))


def is_counted_right(selection, mask, list_of, lists):
    assert np.array_equal(selection.mask, mask)
    assert selection.count == mask.sum()
    assert selection.rows.tolist() == [row for row, chosen in enumerate(mask) if chosen]
    assert selection.is_all == mask.all()
    assert np.array_equal(selection.bits, np.packbits(mask, bitorder="little"))
    recounted = [sum(1 for row in np.flatnonzero(mask) if list_of[row] == one) for one in range(lists)]
    assert selection.counts_per_list(list_of, lists).tolist() == recounted


@st.composite
def row_sets(draw, size):
    """Rows to add and rows to remove, distinct."""
    rows = draw(st.permutations(range(size)))
    first, last = sorted(draw(st.tuples(st.integers(0, size), st.integers(0, size))))
    return np.array(rows[:first], np.int64), np.array(rows[first:last], np.int64)


@profile(deadline=None)
@given(st.data())
def test_a_changed_selection_counts_as_one_counted_anew(data):
    size, lists = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 6))
    random = np.random.default_rng(data.draw(st.integers(0, 1_000)))
    list_of = random.integers(lists, size=size).astype(np.uint16)
    mask = random.random(size) < data.draw(st.sampled_from([0, 0.3, 1]))
    selection = RowBitmap(mask)
    for _ in range(data.draw(st.integers(1, 4))):
        if data.draw(st.booleans()):  # else counts are first asked for later
            selection.counts_per_list(list_of, lists)
        add, remove = data.draw(row_sets(size))
        before, kept = selection, selection.mask.copy()
        selection = selection.with_changes(add=add, remove=remove)
        mask = kept.copy()
        mask[add], mask[remove] = True, False
        is_counted_right(selection, mask, list_of, lists)
        is_counted_right(before, kept, list_of, lists)


def test_counts_per_list_are_carried_over_and_not_made_again():
    selection = RowBitmap(np.ones(6, bool))
    list_of = np.array([0, 0, 1, 1, 2, 2], np.uint16)
    selection.counts_per_list(list_of, 3)
    changed = selection.with_changes(remove=np.array([0, 1, 4]))
    assert changed.counts_per_list(None, 0).tolist() == [0, 2, 1]


def test_a_selection_that_does_not_change_stays_itself():
    selection = RowBitmap(np.array([True, False]))
    assert selection.with_changes(add=np.array([0]), remove=np.array([1])) is selection
    assert selection.with_changes() is selection


@given(st.lists(st.booleans(), max_size=40))
def test_bits_say_what_the_mask_says(mask):
    bits = RowBitmap(np.array(mask, bool)).bits
    assert [bool(bits[row >> 3] >> (row & 7) & 1) for row in range(len(mask))] == mask
    assert len(bits) == -(-len(mask) // 8)


@given(st.sets(st.integers(0, 19)))
def test_rows_make_the_same_selection_as_their_mask(rows):
    rows = np.array(sorted(rows), np.int64)
    selection = RowBitmap.from_rows(rows, 20)
    is_counted_right(selection, np.isin(np.arange(20), rows), np.zeros(20, np.uint16), 1)


def columns_of_status(status):
    columns = plain_columns(len(status))
    columns.status[:] = status
    return columns


def test_rows_of_a_status_are_those_that_stand_and_have_it():
    columns = columns_of_status(np.arange(12) % 4)
    live_rows = LiveRows(np.arange(12) >= 4)
    assert live_rows.count == 8
    assert live_rows.with_status(ACTIVE, columns).rows.tolist() == [5, 9]
    assert live_rows.with_status(SOLD, columns).rows.tolist() == [5, 6, 9, 10]
    assert live_rows.with_status(ACTIVE, columns) is live_rows.with_status(ACTIVE, columns)


@profile(deadline=None)
@given(st.integers(0, 1_000), st.sets(st.integers(0, 29)))
def test_what_was_selected_is_carried_over_to_the_rows_that_still_stand(seed, gone):
    random = np.random.default_rng(seed)
    mask, list_of = random.random(30) < 0.7, random.integers(3, size=30).astype(np.uint16)
    columns = columns_of_status(random.integers(4, size=30))
    live_rows = LiveRows(mask.copy())
    for statuses in (ACTIVE, SOLD):
        live_rows.with_status(statuses, columns).counts_per_list(list_of, 3)
    left = live_rows.without_rows(np.array(sorted(gone), np.int64))
    left_mask = mask & ~np.isin(np.arange(30), sorted(gone))
    assert left.count == left_mask.sum()
    for statuses in (ACTIVE, SOLD):
        for one, stands in ((left, left_mask), (live_rows, mask)):
            carried = one.with_status(statuses, None)  # made before, so columns are not looked at
            is_counted_right(carried, stands & np.isin(columns.status, statuses), list_of, 3)


def test_what_nobody_removed_stays_itself():
    live_rows = LiveRows(np.array([True, False, True]))
    assert live_rows.without_rows(np.array([1])) is live_rows
    assert live_rows.without_rows(np.empty(0, np.int64)) is live_rows
