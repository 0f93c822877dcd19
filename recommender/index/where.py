"""What a caller may ask of the index, and what it answers with."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from listings.geo import EARTH_RADIUS_KM

if TYPE_CHECKING:
    from .columns import Columns

STATUSES = ("draft", "active", "sold", "removed")


@dataclass(frozen=True)
class Where:
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

    def mask(self, columns: Columns) -> np.ndarray:
        """bool[n]: which rows of `columns` pass."""
        passing = np.isin(columns.status, [STATUSES.index(status) for status in self.statuses])
        if self.category_ids is not None:
            passing &= np.isin(columns.category, list(self.category_ids))
        if self.min_price is not None:
            passing &= columns.price >= max(0, cents(self.min_price))
        if self.max_price is not None:
            passing &= (columns.price >= 0) & (columns.price <= cents(self.max_price))
        if self.seller_id is not None:
            passing &= columns.seller == self.seller_id
        if self.created_after is not None:
            passing &= columns.created > self.created_after
        if self.near is not None and self.radius_km is not None:
            passing &= haversine_km(self.near, columns.latitude, columns.longitude) <= self.radius_km
        return passing


@dataclass(frozen=True)
class Candidates:
    """Search results: parallel arrays with one entry per listing, most similar first.

    listing, image, category, seller: int64 ids (category -1: none; image: the listing's best photo) · similarity:
    float32 cosine · price: float64 (nan: not stated) · latitude, longitude: float64 degrees on the 1 km grid (nan:
    unknown) · created: float64 epoch seconds · status: int8 index into STATUSES · photos: int64 searchable photos.
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

    def __len__(self) -> int:
        return len(self.listing)

    def take(self, order: np.ndarray) -> Candidates:
        """The same entries in another order, or fewer of them."""
        return Candidates(**{field.name: getattr(self, field.name)[order] for field in fields(self)})


def cents(amount: float) -> int:
    return round(amount * 100)


def haversine_km(point: tuple[float, float], latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """float64[n]: great-circle distances in kilometres; nan where a row has no place."""
    lat1, lon1 = np.radians(point[0]), np.radians(point[1])
    lat2, lon2 = np.radians(latitude), np.radians(longitude)
    h = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(1.0, np.sqrt(h)))
