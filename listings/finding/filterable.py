"""What listings can be filtered by, declared once: the columns that the index keeps, and the filter callers may set.

Everything else derives from the two: the arrays of the index, their files and what is read into them
(`recommender.index.rows.columns`), the masks (`recommender.index.rows.filter`), the values of an answer
(`recommender.index.view.candidates`), the conditions in SQL (`ListingQuerySet.matching`), the parameters of lists and
of ranked answers (`listings.api.filters`, `recommender.api.requests`) and the pages that document them.

To add a column, add it to `COLUMNS`, give `Filter` a field for what may be asked of it, and watch it in a migration
(`recommender.listing_triggers`). A test names a column that no trigger watches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, StrEnum, auto
from functools import cache, cached_property
from typing import Any

import numpy as np
from django.db import models
from numpy.typing import NDArray

from .geo import grid_latitude, grid_longitude


class ListingStatus(models.TextChoices):
    # The index stores a status as its place in this list, also in files, so a new status belongs at the end.
    DRAFT = "draft"
    ACTIVE = "active"
    SOLD = "sold"
    REMOVED = "removed"


STATUSES: tuple[str, ...] = tuple(ListingStatus.values)


def to_cents(amount: Decimal | float) -> int:
    return round(amount * 100)


def from_cents(cents: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64[n] in the site's currency; nan where no price is stated."""
    return np.where(cents < 0, np.nan, cents / 100)


@dataclass(frozen=True)
class Column:
    """One value of a listing, as the index keeps it: an array with an entry for each photo.

    `dtype` is numpy's name for its type, which for a flag is "int8". `sources` are the fields of `Listing` that it is
    made of. Where one of them is null, the entry is `unknown_value`, which passes no condition. `encode` turns their
    values into the entry, and `decode` an array of entries into the values that an answer holds; both are left out
    where there is nothing to do.
    """

    dtype: str
    sources: tuple[str, ...]
    encode: Callable[..., float] | None = None
    decode: Callable[[NDArray[Any]], NDArray[Any]] | None = None

    @cached_property
    def is_integer(self) -> bool:
        """Whether entries are whole numbers; those that are known are 0 or more."""
        return np.dtype(self.dtype).kind in "iu"

    @cached_property
    def unknown_value(self) -> float:
        return -1 if self.is_integer else np.nan


COLUMNS = {
    "category": Column("int32", ("category_id",)),
    # In whole hundredths, so that the index compares prices as exactly as SQL compares decimals.
    "price": Column("int64", ("price",), to_cents, from_cents),
    # Rounded to the 1 km grid, so that nobody can work out from searches where exactly a seller lives.
    "latitude": Column("float64", ("latitude", "longitude"), lambda latitude, _: grid_latitude(latitude)),
    "longitude": Column("float64", ("latitude", "longitude"), grid_longitude),
    # In seconds since 1970, as `created_after` is, because numpy's own dates have no time zone.
    "created": Column("float64", ("created_at",), datetime.timestamp),
    "seller": Column("int64", ("seller_id",)),
    "status": Column("int8", ("status",), STATUSES.index),
}


class Lookup(StrEnum):
    """How a column is compared, by Django's names, in the order in which conditions are tried."""

    EXACT = "exact"
    NEAR = "near"
    IN = "in"
    AT_LEAST = "gte"
    AT_MOST = "lte"
    ABOVE = "gt"
    # Never a condition of its own: it says how far from its point NEAR reaches, so `asked_conditions` joins the two.
    RADIUS = "radius"


class Kind(Enum):
    """What the text of a parameter stands for. Lists and ranked answers each have a field for every kind."""

    FLAG = auto()
    ID = auto()
    AMOUNT = auto()
    CATEGORY = auto()
    POINT = auto()
    RADIUS = auto()


@dataclass(frozen=True)
class Parameter:
    """How callers of the API ask for a condition."""

    name: str
    kind: Kind
    help_text: str


@dataclass(frozen=True)
class Condition:
    """What a field of `Filter` asks of a column, and how callers may ask for it, if they may.

    The index compares a value in the column's own unit (`in_index`), SQL in that of the database (`in_database`).
    """

    column: str
    lookup: Lookup
    parameter: Parameter | None = None
    in_index: Callable[[Any], Any] = lambda value: value
    in_database: Callable[[Any], Any] = lambda value: value

    @property
    def source_field(self) -> str:
        """The field of `Listing` that SQL compares."""
        return COLUMNS[self.column].sources[0]


def condition_field(*details: Any, **more: Any) -> Any:
    """A field of `Filter` that asks nothing unless it is set."""
    return field(default=None, metadata={"condition": Condition(*details, **more)})


def price_condition_field(lookup: Lookup, parameter: str) -> Any:
    help_text = "Listings without a price are left out."
    return condition_field(
        "price",
        lookup,
        Parameter(parameter, Kind.AMOUNT, help_text),
        in_index=to_cents,
        in_database=lambda amount: round(amount, 2),
    )


DEFAULT_RADIUS_KM = 10.0


@dataclass(frozen=True)
class Filter:
    """Conditions on a listing's own values. Every one is optional, and all that are set must hold.

    `category_ids` is a subtree already resolved to ids; prices are in the site's currency, and a listing without a
    price passes no price condition; `near` is (latitude, longitude) in degrees and asks for nothing without
    `radius_km`, in kilometres, both compared on the 1 km grid; `created_after` is in epoch seconds.
    """

    category_ids: frozenset[int] | None = condition_field(
        "category",
        Lookup.IN,
        Parameter(
            "category",
            Kind.CATEGORY,
            "A category's path, such as `Home & Garden / Furniture`; what lies below it is included. "
            "A path that does not exist is an error, an empty category is an empty answer.",
        ),
    )
    min_price: float | None = price_condition_field(Lookup.AT_LEAST, "min_price")
    max_price: float | None = price_condition_field(Lookup.AT_MOST, "max_price")
    near: tuple[float, float] | None = condition_field(
        "latitude",
        Lookup.NEAR,
        Parameter("near", Kind.POINT, "`latitude,longitude`. Places are compared as points of a 1 km grid."),
    )
    radius_km: float | None = condition_field(
        "latitude",
        Lookup.RADIUS,
        Parameter("radius_km", Kind.RADIUS, f"Around `near`, {DEFAULT_RADIUS_KM:g} km if not given."),
    )
    seller_id: int | None = condition_field("seller", Lookup.EXACT, Parameter("seller", Kind.ID, "A seller's id."))
    statuses: tuple[str, ...] = (ListingStatus.ACTIVE.value,)
    created_after: float | None = condition_field(
        "created", Lookup.ABOVE, in_database=lambda seconds: datetime.fromtimestamp(seconds, UTC)
    )

    @classmethod
    @cache
    def conditions(cls) -> dict[str, Condition]:
        """The declared conditions by the names of their fields. The status has none: the index counts it apart."""
        return {one.name: one.metadata["condition"] for one in fields(cls) if one.metadata}

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """What callers of the API may ask for, by the names of the fields."""
        return {name: one.parameter for name, one in cls.conditions().items() if one.parameter}

    @property
    def status_numbers(self) -> tuple[int, ...]:
        """The statuses as the index stores them."""
        return tuple(STATUSES.index(status) for status in self.statuses)

    @classmethod
    @cache
    def _conditions_by_selectivity(cls) -> list[tuple[str, Condition]]:
        order = list(Lookup)
        return sorted(cls.conditions().items(), key=lambda item: order.index(item[1].lookup))

    def asked_conditions(self) -> list[tuple[Condition, Any]]:
        """The conditions that are set, with their values, those first that usually leave the fewest listings. The value
        of `near` is a pair: the point and the radius."""
        values = {**vars(self), "radius_km": None}
        values["near"] = None if self.near is None or self.radius_km is None else (self.near, self.radius_km)
        return [(one, values[name]) for name, one in self._conditions_by_selectivity() if values[name] is not None]


def find_contradictions(given: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with parameters that are each right, in lists and ranked answers alike; by parameter."""
    faults = {}
    if given.get("radius_km") is not None and given.get("near") is None:
        faults["radius_km"] = "A radius needs a centre: give near=latitude,longitude too."
    low, high = given.get("min_price"), given.get("max_price")
    if low is not None and high is not None and low > high:
        faults["min_price"] = "The lowest price is above the highest."
    return faults
