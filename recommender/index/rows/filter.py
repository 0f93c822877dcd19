"""Which rows pass a filter: its conditions as masks over whole columns, in the order that leaves least to compare."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from listings.finding.filterable import COLUMNS, Filter, Lookup
from listings.finding.geo import box_around, haversine_km

from .arrays import ColumnArray, Mask
from .columns import Columns
from .row_bitmap import RowBitmap

# Where fewer than one row in this many is left, testing those rows alone beats comparing whole columns.
SPARSE_RATIO = 16

COMPARISONS: dict[Lookup, Callable[[Any, Any], Any]] = {
    Lookup.EXACT: operator.eq,
    Lookup.AT_LEAST: operator.ge,
    Lookup.AT_MOST: operator.le,
    Lookup.ABOVE: operator.gt,
}

# A test says which of the rows it is given pass. They come as indices or as a slice, so that it can look at a few rows
# or at whole columns.
Test = Callable[[Any], Mask]


def mask_rows(where: Filter, columns: Columns) -> Mask:
    """bool[n]: which rows of `columns` pass."""
    return filter_selection(where, columns, RowBitmap(columns.status_mask(where.status_numbers))).mask


def filter_selection(where: Filter, columns: Columns, selection: RowBitmap) -> RowBitmap:
    """Those of the selected rows that pass every condition but the one on the status.

    Whole columns are compared while many rows pass; then only the rows that are left.
    """
    mask, rows = selection.mask, None
    for passes in _condition_tests(where, columns):
        if rows is not None:
            rows = rows[passes(rows)]
            continue
        mask = mask & passes(slice(None))
        if np.count_nonzero(mask) * SPARSE_RATIO < len(mask):
            rows = np.flatnonzero(mask)
    if rows is not None:
        return RowBitmap.from_rows(rows, len(columns))
    return selection if mask is selection.mask else RowBitmap(mask)


def _condition_tests(where: Filter, columns: Columns) -> Iterator[Test]:
    """One or more for each condition that is set, in the order of the conditions."""
    asked = where.asked_conditions()
    bounded_below = {one.column for one, _ in asked if one.lookup is Lookup.AT_LEAST}
    for one, value in asked:
        array = columns.arrays[one.column]
        if one.lookup is Lookup.NEAR:
            yield from _near_tests(columns, *value)
        elif one.lookup is Lookup.IN:
            yield _membership_test(array, value)
        else:
            bound = one.in_index(value)
            if COLUMNS[one.column].is_integer and one.lookup is not Lookup.EXACT:
                # An unknown entry is -1, which would pass every upper bound. A lower bound of 0 leaves it out.
                if one.lookup is Lookup.AT_LEAST:
                    bound = max(0, bound)
                elif one.column not in bounded_below:
                    yield _comparison_test(array, operator.ge, 0)
            yield _comparison_test(array, COMPARISONS[one.lookup], bound)


def _comparison_test(array: ColumnArray, compare: Callable[[Any, Any], Any], bound: float) -> Test:
    return lambda rows: compare(array[rows], bound)


def _membership_test(array: ColumnArray, ids: frozenset[int]) -> Test:
    """Ids begin at 1 and are looked up in a table. Its first entry says no for -1, which is unknown, and its last for
    ids above the largest, because places outside of the table are clipped to these two."""
    known = np.zeros(max(ids, default=0) + 2, bool)
    known[list(ids)] = True
    return lambda rows: known.take(array[rows], mode="clip")


def _near_tests(columns: Columns, near: tuple[float, float], radius_km: float) -> Iterator[Test]:
    """A box first: the distance itself takes sixty times as long."""
    south, north, west, east = box_around(near, radius_km)
    yield lambda rows: (columns.latitude[rows] >= south) & (columns.latitude[rows] <= north)
    if math.isfinite(west):
        yield lambda rows: (columns.longitude[rows] >= west) & (columns.longitude[rows] <= east)
    yield lambda rows: haversine_km(near, columns.latitude[rows], columns.longitude[rows]) <= radius_km
