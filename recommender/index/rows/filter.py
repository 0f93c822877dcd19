"""What a caller may ask of the index, and what it answers with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from listings.geo import box_around, haversine_km

from .columns import STATUSES, Columns
from .row_bitmap import RowBitmap

SPARSE_RATIO = 16  # one row in so many: from there on it is faster to look at rows one by one

Condition = Callable[[Any], np.ndarray]


@dataclass(frozen=True)
class Filter:
    """Conditions on a listing's own values; every one is optional and all must hold.

    `category_ids` is a subtree already resolved to ids; prices are in the site's currency, and a listing without a
    price passes no price condition; `near` is (latitude, longitude) in degrees, `radius_km` in kilometres, both
    compared on the 1 km grid; `created_after` is in epoch seconds.
    """

    category_ids: frozenset[int] | None = None
    min_price: float | None = None
    max_price: float | None = None
    near: tuple[float, float] | None = None
    radius_km: float | None = None
    seller_id: int | None = None
    statuses: tuple[str, ...] = ("active",)
    created_after: float | None = None

    def mask_rows(self, columns: Columns) -> np.ndarray:
        """bool[n]: which rows of `columns` pass."""
        return self.prefilter(columns, RowBitmap(columns.have_status(self.status_numbers))).mask

    @property
    def status_numbers(self) -> tuple[int, ...]:
        return tuple(STATUSES.index(status) for status in self.statuses)

    def prefilter(self, columns: Columns, selection: RowBitmap) -> RowBitmap:
        """Those of the selected rows that pass every condition but the one on the status.

        Whole columns are compared while many rows pass; then only the rows that are left.
        """
        mask, rows = selection.mask, None
        for condition in self._conditions(columns):
            if rows is not None:
                rows = rows[condition(rows)]
                continue
            mask = mask & condition(slice(None))
            if np.count_nonzero(mask) * SPARSE_RATIO < len(mask):
                rows = np.flatnonzero(mask)
        if rows is not None:
            return RowBitmap.from_rows(rows, len(columns))
        return selection if mask is selection.mask else RowBitmap(mask)

    def _conditions(self, columns: Columns) -> Iterator[Condition]:
        """Each takes rows (indices, or a slice) and says which of them pass."""
        if self.seller_id is not None:
            yield lambda rows: columns.seller[rows] == self.seller_id
        if self.near is not None and self.radius_km is not None:
            yield from self._place_conditions(columns, self.near, self.radius_km)
        if self.category_ids is not None:
            known = _table(self.category_ids)
            yield lambda rows: known.take(columns.category[rows], mode="clip")
        if self.min_price is not None:
            least = max(0, cents(self.min_price))
            yield lambda rows: columns.price[rows] >= least
        if self.max_price is not None:
            most = cents(self.max_price)
            if self.min_price is None:  # else it was asked before
                yield lambda rows: columns.price[rows] >= 0
            yield lambda rows: columns.price[rows] <= most
        if self.created_after is not None:
            yield lambda rows: columns.created[rows] > self.created_after

    def _place_conditions(self, columns: Columns, near: tuple[float, float], radius_km: float) -> Iterator[Condition]:
        """A box first: the distance itself takes sixty times as long."""
        south, north, west, east = box_around(near, radius_km)
        yield lambda rows: (columns.latitude[rows] >= south) & (columns.latitude[rows] <= north)
        if math.isfinite(west):
            yield lambda rows: (columns.longitude[rows] >= west) & (columns.longitude[rows] <= east)
        yield lambda rows: haversine_km(near, columns.latitude[rows], columns.longitude[rows]) <= radius_km


def _table(category_ids: frozenset[int]) -> np.ndarray:
    """bool[m + 2]: whether an id belongs. Ids begin at 1: the first says no for -1, which is none, and the last for
    ids above the largest, as places outside are clipped to these."""
    known = np.zeros(max(category_ids, default=0) + 2, bool)
    known[list(category_ids)] = True
    return known


@dataclass(frozen=True)
class Candidates:
    """Search results: parallel arrays with one entry per listing, most similar first.

    listing, image, category, seller: int64 ids (category -1: none; image: the listing's best photo) · similarity:
    float32 cosine · price: float64 (nan: not stated) · latitude, longitude: float64 degrees on the 1 km grid (nan:
    unknown) · created: float64 epoch seconds · status: int8 index into STATUSES · photos: int64 searchable photos.
    `plan` says how each place was searched.
    """

    listing: np.ndarray
    image: np.ndarray
    similarity: np.ndarray
    category: np.ndarray
    price: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    created: np.ndarray
    seller: np.ndarray
    status: np.ndarray
    photos: np.ndarray
    plan: tuple[dict[str, Any], ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.listing)

    def select_entries(self, order: np.ndarray) -> Candidates:
        """The same entries in another order, or fewer of them."""
        arrays = [one.name for one in fields(self) if one.name != "plan"]
        return Candidates(**{name: getattr(self, name)[order] for name in arrays}, plan=self.plan)


def cents(amount: float) -> int:
    return round(amount * 100)
