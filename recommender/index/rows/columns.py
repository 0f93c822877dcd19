"""The searchable columns of index rows: parallel arrays, one entry per photo, sorted by (listing, image)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from listings.geo import to_grid

STATUSES = ("draft", "active", "sold", "removed")
NO_ROWS = np.empty(0, np.int64)

DTYPES = {
    "listing": np.int64,
    "image": np.int64,
    "category": np.int32,  # -1: none
    "price": np.int64,  # hundredths of the site's currency; -1: not stated
    "latitude": np.float64,  # degrees on the 1 km grid; nan: unknown
    "longitude": np.float64,
    "created": np.float64,  # epoch seconds
    "seller": np.int64,
    "status": np.int8,  # index into STATUSES
}
PAGE_BYTES = 4_096


@dataclass(frozen=True)
class Columns:
    """Arrays of one length and of the dtypes above. Never written to once made."""

    listing: np.ndarray
    image: np.ndarray
    category: np.ndarray
    price: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    created: np.ndarray
    seller: np.ndarray
    status: np.ndarray

    def __len__(self) -> int:
        return len(self.listing)

    def select_rows(self, rows: np.ndarray) -> Columns:
        """The given rows (indices or a bool mask), copied."""
        return Columns(**{name: getattr(self, name)[rows] for name in DTYPES})

    def row_ranges(self, listing_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(first, last + 1) int64[m] each: where each listing's rows are."""
        return np.searchsorted(self.listing, listing_ids, "left"), np.searchsorted(self.listing, listing_ids, "right")

    def ranges_around(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(first, last + 1) int64[m] each: where the listings of these rows have theirs. For many rows much faster than
        `ranges`, which looks all over the column."""
        first, last, listing = rows.copy(), rows + 1, self.listing[rows]
        while (more := (first > 0) & (self.listing[first - 1] == listing)).any():
            first -= more
        end = len(self) - 1
        while (more := (last <= end) & (self.listing[np.minimum(last, end)] == listing)).any():
            last += more
        return first, last

    def rows_of(self, listing_ids: np.ndarray) -> np.ndarray:
        """int64[r]: indices of every row of these listings."""
        return concatenate_ranges(*self.row_ranges(listing_ids)) if len(listing_ids) else NO_ROWS

    def have_status(self, statuses: Sequence[int]) -> np.ndarray:
        """bool[n]: which rows are of listings with one of these statuses."""
        wanted = np.zeros(len(STATUSES), bool)
        wanted[list(statuses)] = True
        return wanted[self.status]

    def sorted_rows(self) -> Columns:
        return self.select_rows(self.sort_order())

    def sort_order(self) -> np.ndarray:
        """int64[n]: the permutation that sorts by listing, then image."""
        return np.lexsort((self.image, self.listing))

    @classmethod
    def empty(cls) -> Columns:
        return cls(**{name: np.empty(0, dtype) for name, dtype in DTYPES.items()})

    @classmethod
    def concatenate(cls, parts: Sequence[Columns]) -> Columns:
        if not parts:
            return cls.empty()
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in DTYPES})

    @classmethod
    def from_rows(cls, rows: Iterable[tuple]) -> Columns:
        """From database tuples: listing, image, category, price, latitude, longitude, created, seller, status."""
        encoded = [encode(row) for row in rows]
        transposed = zip(*encoded, strict=True) if encoded else [()] * len(DTYPES)
        return cls(
            **{name: np.array(values, dtype) for (name, dtype), values in zip(DTYPES.items(), transposed, strict=True)}
        )

    def save(self, directory: Path) -> None:
        """Write a `.npy` file for each column."""
        for name in DTYPES:
            np.save(directory / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def load(cls, directory: Path) -> Columns:
        """Memory-mapped from a segment's directory, every page read once, so that no search waits for it.

        Raises: OSError, ValueError where a file is missing or not an array.
        """
        # Plain arrays over the maps: numpy's own class for maps costs microseconds at every slice.
        maps = {name: np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in DTYPES}
        columns = cls(**{name: np.asarray(one) for name, one in maps.items()})
        for name in DTYPES:
            column = getattr(columns, name)
            np.count_nonzero(column[:: PAGE_BYTES // column.itemsize])
        return columns


def concatenate_ranges(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """int64[r]: the numbers from each first to before its last, one span after another."""
    counts = last - first
    before = np.cumsum(counts) - counts
    return np.repeat(first - before, counts) + np.arange(counts.sum())


def encode(row: tuple) -> tuple:
    """One database tuple in the index's own units."""
    listing, image, category, price, latitude, longitude, created, seller, status = row
    point = (np.nan, np.nan) if latitude is None or longitude is None else to_grid(latitude, longitude)
    return (
        listing,
        image,
        -1 if category is None else category,
        -1 if price is None else int(price * 100),
        *point,
        created.timestamp(),
        seller,
        STATUSES.index(status),
    )
