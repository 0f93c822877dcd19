"""The filters of every ranked answer: from query parameters to the index's `Filter`, and the same `Filter` on rows.

Parameters mean what they mean in lists of listings. A visitor asks among active or sold listings, staff also among
drafts; nobody finds a removed one.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from rest_framework import serializers

from listings.api import filters as lists
from listings.geo import to_grid
from listings.models import Listing
from listings.querysets import of_status
from recommender.index import Filter

if TYPE_CHECKING:
    from listings.querysets import ListingQuerySet


class FiniteFloatField(serializers.FloatField):
    """A number; "nan" would pass every comparison with a range."""

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class PointField(serializers.CharField):
    """`latitude,longitude` in degrees, as a point of the public 1 km grid: a pair of floats."""

    def to_internal_value(self, data: Any) -> Any:
        return to_grid(*_clean(lists.PointField(), super().to_internal_value(data)))


class SubtreeField(serializers.CharField):
    """A category's path, as the frozen set of ids of the category and of everything below it."""

    def to_internal_value(self, data: Any) -> Any:
        return frozenset(_clean(lists.CategoryField(max_length=500), super().to_internal_value(data)))


def _clean(field: forms.Field, text: str) -> Any:
    try:
        return field.clean(text)
    except ValidationError as exc:
        raise serializers.ValidationError(exc.messages) from exc


class PriceField(serializers.DecimalField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_digits=12, decimal_places=2, min_value=Decimal(0), **kwargs)


class FilterSerializer(serializers.Serializer):
    """Conditions on the listings of an answer. Needs `context={"user": …}`."""

    category = SubtreeField(
        required=False,
        help_text="A category's path, such as `Home & Garden / Furniture`; what lies below it is included. "
        "A path that does not exist is an error, an empty category is an empty answer.",
    )
    min_price = PriceField(help_text="Listings without a price are left out.")
    max_price = PriceField(help_text="Listings without a price are left out.")
    near = PointField(required=False, help_text="`latitude,longitude`, compared on a 1 km grid.")
    radius_km = FiniteFloatField(
        required=False,
        min_value=0.1,
        max_value=lists.MAX_RADIUS_KM,
        help_text=f"Around `near`, {lists.DEFAULT_RADIUS_KM:g} km if not given.",
    )
    seller = serializers.IntegerField(required=False, min_value=1, max_value=lists.MAX_ID, help_text="A seller's id.")
    status = serializers.ChoiceField(
        required=False,
        choices=[Listing.Status.ACTIVE.value, Listing.Status.SOLD.value, Listing.Status.DRAFT.value],
        default=Listing.Status.ACTIVE.value,
        help_text="`draft` is for staff.",
    )

    def validate_status(self, status: str) -> str:
        if status == Listing.Status.DRAFT and not self.context["user"].is_staff:
            raise serializers.ValidationError("Only staff may search among drafts.")
        return status

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "radius_km" in attrs and "near" not in attrs:
            raise serializers.ValidationError(
                {"radius_km": "A radius needs a centre: give near=latitude,longitude too."}
            )
        low, high = attrs.get("min_price"), attrs.get("max_price")
        if low is not None and high is not None and low > high:
            raise serializers.ValidationError({"min_price": "The lowest price is above the highest."})
        return attrs

    def to_filter(self) -> Filter:
        """The validated conditions as the index takes them."""
        given = self.validated_data
        return Filter(
            category_ids=given.get("category"),
            min_price=_number(given.get("min_price")),
            max_price=_number(given.get("max_price")),
            near=given.get("near"),
            radius_km=given.get("radius_km", lists.DEFAULT_RADIUS_KM) if "near" in given else None,
            seller_id=given.get("seller"),
            statuses=(given["status"],),
        )


def _number(price: Decimal | None) -> float | None:
    return None if price is None else float(price)


def matching(listings: ListingQuerySet, where: Filter) -> ListingQuerySet:
    """The rows that pass, among some found by id."""
    listings = listings.filter(of_status(*where.statuses))
    if where.category_ids is not None:
        listings = listings.filter(category_id__in=where.category_ids)
    if where.min_price is not None:
        listings = listings.filter(price__gte=round(where.min_price, 2))
    if where.max_price is not None:
        listings = listings.filter(price__lte=round(where.max_price, 2))
    if where.seller_id is not None:
        listings = listings.filter(seller_id=where.seller_id)
    if where.created_after is not None:
        listings = listings.filter(created_at__gt=datetime.fromtimestamp(where.created_after, UTC))
    if where.near is not None and where.radius_km is not None:
        listings = listings.near(*where.near, where.radius_km)
    return listings
