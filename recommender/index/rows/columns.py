"""The searchable columns of index rows: parallel arrays, one entry per photo, sorted by (listing, image)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listings.finding.filterable import COLUMNS, STATUSES, Column

from .arrays import ColumnArray, Degrees, Ids, Mask, RowIds

NO_ROWS: RowIds = np.empty(0, np.int64)

# The listing and the photo: every row is found by these, also where a site filters by other columns.
KEYS = ("listing", "image")

PAGE_BYTES = 4_096


def column_dtypes() -> dict[str, np.dtype[Any]]:
    """The type of every column by its name, which its file bears too."""
    declared = {name: np.dtype(column.dtype) for name, column in COLUMNS.items()}
    return {**dict.fromkeys(KEYS, np.dtype(np.int64)), **declared}


class Columns:
    """Arrays of one length and of the dtypes above, each an attribute by its name. Never written to once made.

    Those are annotated that code reads by name; a declared column that is filtered by alone needs no line here.
    """

    listing: Ids
    image: Ids
    category: NDArray[np.int32]
    price: NDArray[np.int64]
    latitude: Degrees
    longitude: Degrees
    created: NDArray[np.float64]
    seller: Ids
    status: NDArray[np.int8]

    def __init__(self, **arrays: ColumnArray) -> None:
        if arrays.keys() != {*KEYS, *COLUMNS}:
            raise TypeError(f"arrays of {[*KEYS, *COLUMNS]} are needed, not of {[*arrays]}")
        self.__dict__.update(arrays)

    def __len__(self) -> int:
        return len(self.listing)

    @property
    def arrays(self) -> dict[str, ColumnArray]:
        """Every array by the name of its column."""
        return self.__dict__

    def select_rows(self, rows: RowIds | Mask) -> Columns:
        """The given rows, copied."""
        return Columns(**{name: array[rows] for name, array in self.arrays.items()})

    def row_ranges(self, listing_ids: Ids) -> tuple[RowIds, RowIds]:
        """(first, last + 1) int64[m] each: where each listing's rows are."""
        return np.searchsorted(self.listing, listing_ids, "left"), np.searchsorted(self.listing, listing_ids, "right")

    def ranges_around(self, rows: RowIds) -> tuple[RowIds, RowIds]:
        """(first, last + 1) int64[m] each: where the listings of these rows have theirs. For many rows much faster than
        `row_ranges`, which looks all over the column."""
        first, last, listing = rows.copy(), rows + 1, self.listing[rows]
        while (more := (first > 0) & (self.listing[first - 1] == listing)).any():
            first -= more
        end = len(self) - 1
        while (more := (last <= end) & (self.listing[np.minimum(last, end)] == listing)).any():
            last += more
        return first, last

    def rows_of(self, listing_ids: Ids) -> RowIds:
        """int64[r]: indices of every row of these listings."""
        return concatenate_ranges(*self.row_ranges(listing_ids)) if len(listing_ids) else NO_ROWS

    def status_mask(self, statuses: Sequence[int]) -> Mask:
        """bool[n]: which rows are of listings with one of these statuses."""
        wanted = np.zeros(len(STATUSES), bool)
        wanted[list(statuses)] = True
        return wanted[self.status]

    def sorted_rows(self) -> Columns:
        """The same rows by listing, then image, as every reader expects them."""
        return self.select_rows(self.sort_order())

    def sort_order(self) -> RowIds:
        """int64[n]: the permutation that sorts by listing, then image."""
        return np.lexsort((self.image, self.listing))

    @classmethod
    def empty(cls) -> Columns:
        return cls(**{name: np.empty(0, dtype) for name, dtype in column_dtypes().items()})

    @classmethod
    def concatenate(cls, parts: Sequence[Columns]) -> Columns:
        if not parts:
            return cls.empty()
        return cls(**{name: np.concatenate([part.arrays[name] for part in parts]) for name in column_dtypes()})

    @classmethod
    def from_database(cls, values: Mapping[str, Sequence[Any]]) -> Columns:
        """From the values of the keys and of the declared sources, by name: a sequence for each, with a value for
        each row."""
        keys = {name: np.array(values[name], np.int64) for name in KEYS}
        declared = {
            name: encode_values(column, [values[source] for source in column.sources])
            for name, column in COLUMNS.items()
        }
        return cls(**keys, **declared)

    def save(self, directory: Path) -> None:
        """Write a `.npy` file for each column."""
        for name in column_dtypes():
            np.save(directory / f"{name}.npy", self.arrays[name], allow_pickle=False)

    @classmethod
    def load(cls, directory: Path) -> Columns:
        """Memory-mapped from a segment's directory, every page read once, so that no search waits for it.

        Raises: OSError, ValueError where a file is missing or not an array.
        """
        maps = {name: np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in column_dtypes()}
        # Plain arrays over the maps, because numpy's own class for maps costs microseconds at every slice.
        columns = cls(**{name: np.asarray(one) for name, one in maps.items()})
        for array in columns.arrays.values():
            np.count_nonzero(array[:: PAGE_BYTES // array.itemsize])
        return columns


def concatenate_ranges(first: RowIds, last: RowIds) -> RowIds:
    """int64[r]: the numbers from each first to before its last, one range after another."""
    counts = last - first
    before = np.cumsum(counts) - counts
    return np.repeat(first - before, counts) + np.arange(counts.sum())


def encode_values(column: Column, sources: Sequence[Sequence[object]]) -> ColumnArray:
    """The entries of a column in the index's own unit, from what the database holds of each of its sources."""
    encode, unknown = column.encode, column.unknown_value
    if encode is None:
        (values,) = sources
        return np.array([unknown if value is None else value for value in values], column.dtype)
    if len(sources) == 1:
        (values,) = sources
        return np.array([unknown if value is None else encode(value) for value in values], column.dtype)
    rows = zip(*sources, strict=True)
    return np.array([unknown if None in row else encode(*row) for row in rows], column.dtype)
