"""What callers send to ranked endpoints: the filters, the photo, how many results.

Filters mean what they mean in lists of listings. A visitor asks among active or sold listings, staff who may view
listings also among drafts; nobody finds a removed one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from listings.api import filters as lists
from listings.api.numbers import PRICE_MESSAGES, StrictDecimalField, StrictFloatField, StrictIntegerField, read_float
from listings.api.serializers import StrictSerializer
from listings.finding.filterable import DEFAULT_RADIUS_KM, Kind, find_contradictions
from listings.finding.geo import snap_to_grid
from listings.models import Listing
from listings.permissions import may_view_all
from ml.images import PartRefused, refuse_bad_box
from recommender.index import Filter
from recommender.search.retrieval import SearchRequest

MAX_RESULTS = 100


class FiniteFloatField(StrictFloatField):
    """A number; a text of 400 digits is infinite."""

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class PointField(serializers.CharField):
    """`latitude,longitude` in degrees, as a point of the public 1 km grid: a pair of floats."""

    def to_internal_value(self, data: Any) -> Any:
        return snap_to_grid(*_clean_with_form_field(lists.PointField(), super().to_internal_value(data)))


class SubtreeField(serializers.CharField):
    """A category's path, as the frozen set of ids of the category and of everything below it."""

    def to_internal_value(self, data: Any) -> Any:
        return frozenset(_clean_with_form_field(lists.CategoryField(max_length=500), super().to_internal_value(data)))


def _clean_with_form_field(field: forms.Field, text: str) -> Any:
    try:
        return field.clean(text)
    except ValidationError as exc:
        raise serializers.ValidationError(exc.messages) from exc


PARAMETERS: dict[Kind, Callable[..., serializers.Field]] = {
    # With null allowed, a flag that a form leaves out means no filter; it would be taken for false otherwise.
    Kind.FLAG: partial(serializers.BooleanField, allow_null=True),
    Kind.ID: partial(StrictIntegerField, min_value=1, max_value=BigIntegerField.MAX_BIGINT),
    Kind.AMOUNT: partial(
        StrictDecimalField, max_digits=12, decimal_places=2, min_value=Decimal(0), error_messages=dict(PRICE_MESSAGES)
    ),
    Kind.CATEGORY: SubtreeField,
    Kind.POINT: PointField,
    Kind.RADIUS: partial(FiniteFloatField, min_value=lists.MIN_RADIUS_KM, max_value=lists.MAX_RADIUS_KM),
}


class FilterSerializer(serializers.Serializer):
    """Conditions on the listings of an answer. Needs `context={"user": …}`."""

    filter_type = Filter

    status = serializers.ChoiceField(
        required=False,
        choices=[Listing.Status.ACTIVE.value, Listing.Status.SOLD.value, Listing.Status.DRAFT.value],
        default=Listing.Status.ACTIVE.value,
        help_text="`draft` is for staff who may view all listings.",
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        """Those written out, and one for each declared condition that callers may ask for."""
        declared = {
            parameter.name: PARAMETERS[parameter.kind](required=False, help_text=parameter.help_text)
            for parameter in self.filter_type.parameters().values()
        }
        return {**declared, **super().get_fields()}

    def validate_status(self, status: str) -> str:
        if status == Listing.Status.DRAFT and not may_view_all(self.context["user"]):
            raise serializers.ValidationError("Only staff who may view all listings search among drafts.")
        return status

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if faults := find_contradictions(attrs):
            raise serializers.ValidationError(faults)
        return attrs

    def to_filter(self) -> Filter:
        """The validated conditions as the index takes them."""
        given = self.validated_data
        values: dict[str, Any] = {"statuses": (given["status"],)}
        for name, parameter in self.filter_type.parameters().items():
            value = given.get(parameter.name)
            values[name] = float(value) if isinstance(value, Decimal) else value
        if values["near"] is not None and values["radius_km"] is None:
            values["radius_km"] = DEFAULT_RADIUS_KM
        return self.filter_type(**values)


@extend_schema_field({"type": "string", "example": "0,0,1,1"})
class CropField(serializers.CharField):
    """Parses `x,y,w,h`, a rectangle in fractions of the upright picture, into a `Box`."""

    default_error_messages = {"crop": "Write x,y,w,h as fractions of the picture, such as 0.25,0.1,0.5,0.5."}

    def to_internal_value(self, data: Any) -> Any:
        try:
            x, y, width, height = (read_float(part) for part in super().to_internal_value(data).split(","))
        except ValueError:
            self.fail("crop")
        try:
            refuse_bad_box((x, y, width, height))
        except PartRefused as refusal:
            raise serializers.ValidationError(str(refusal)) from refusal
        return x, y, width, height


class RankedSerializer(FilterSerializer):
    """The filters, how many results are wanted, and how similar they must be."""

    limit = StrictIntegerField(required=False, min_value=1, max_value=MAX_RESULTS, default=20)
    min_similarity = FiniteFloatField(
        required=False, min_value=-1, max_value=1, default=-1.0, help_text="Lowest cosine between photos."
    )
    min_probability = FiniteFloatField(
        required=False,
        min_value=0,
        max_value=1,
        help_text="Lowest probability that a result shows the same kind of thing (default: the site's, 0.5 unless it "
        "is set); 0 for the nearest ones, whatever they show.",
    )
    explain = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Add `reasons`, whose contributions sum to the score, and `index.plan`, how the index was searched.",
    )

    def search_request(self) -> SearchRequest:
        given = self.validated_data
        return SearchRequest(
            self.to_filter(),
            self.context["user"],
            given["limit"],
            given["min_similarity"],
            given.get("min_probability", settings.MIN_PROBABILITY),
            caller=self.context.get("caller", ""),
        )


class CropSerializer(serializers.Serializer):
    crop = CropField(required=False, help_text="`x,y,w,h` as fractions of the upright picture: search with this part.")


class PhotoSerializer(StrictSerializer, CropSerializer):
    image = serializers.FileField(
        allow_empty_file=True,  # the photo check refuses an empty file in words that help a seller
        help_text="JPEG, PNG, WebP, HEIC, AVIF or GIF, at most 40 MB.",
    )


class PhotoSearchSerializer(PhotoSerializer, RankedSerializer):
    """A photo, and the filters."""


class PageSearchSerializer(CropSerializer, RankedSerializer):
    """What a page's form may hold beside the photo."""
