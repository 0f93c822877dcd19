"""What a caller may ask of a list. The fields and their rules hold for ranked answers too."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field

from listings.finding.filterable import DEFAULT_RADIUS_KM, Filter, Kind, find_contradictions
from listings.finding.geo import snap_to_grid
from listings.models import Category, Listing
from listings.querysets import MAX_WORDS, ListingQuerySet

from .numbers import FloatInput, IntegerInput, PriceInput, read_float

# Places are compared on a grid of 1 km, so that a smaller circle finds no fewer; ranked answers have the same bounds.
MIN_RADIUS_KM = 0.1
# No two places are farther apart than this, because half of the Earth's circumference is 20,015 km.
MAX_RADIUS_KM = 20_100.0


class PointField(forms.CharField):
    """ "51.5,-0.12" as (latitude, longitude) of the 1 km grid."""

    def clean(self, value: object) -> tuple[float, float] | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            latitude, longitude = (read_float(part) for part in text.split(","))
        except ValueError as exc:
            raise ValidationError("Give a latitude and a longitude, such as 51.5,-0.12.") from exc
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):
            raise ValidationError("A latitude lies between -90 and 90, a longitude between -180 and 180.")
        return snap_to_grid(latitude, longitude)


class CategoryField(forms.CharField):
    """A category's path as the ids of the category and of everything below it."""

    def clean(self, value: object) -> list[int] | None:
        path = super().clean(value)
        if not path:
            return None
        ids = list(Category.objects.subtree(path).values_list("pk", flat=True))
        if not ids:
            raise ValidationError("There is no category '%(path)s'.", params={"path": path})
        return ids


class PriceField(PriceInput):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=Decimal(0), max_digits=12, decimal_places=2, **kwargs)


class RadiusField(FloatInput):
    def validate(self, value: Any) -> None:
        super().validate(value)
        if value is not None and not MIN_RADIUS_KM <= value <= MAX_RADIUS_KM:
            raise ValidationError(f"A radius is from {MIN_RADIUS_KM:g} to {MAX_RADIUS_KM:g} km.")


class IdField(IntegerInput):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=BigIntegerField.MAX_BIGINT, **kwargs)


class PointFilter(filters.CharFilter):
    field_class = PointField


class CategoryFilter(filters.CharFilter):
    field_class = CategoryField


class PriceFilter(filters.Filter):
    field_class = PriceField


class RadiusFilter(filters.Filter):
    field_class = RadiusField

    def __init__(self, help_text: str, **kwargs: Any) -> None:
        super().__init__(help_text=help_text, **kwargs)
        # Without this the API's page would give a radius the bounds of the latitude that the filter is declared on.
        extend_schema_field({"type": "number", "format": "double", "description": help_text})(self)


class IdFilter(filters.Filter):
    field_class = IdField


FILTERS: dict[Kind, Callable[..., filters.Filter]] = {
    Kind.FLAG: filters.BooleanFilter,
    Kind.ID: IdFilter,
    Kind.AMOUNT: PriceFilter,
    Kind.CATEGORY: partial(CategoryFilter, max_length=500),
    Kind.POINT: partial(PointFilter, max_length=80),
    Kind.RADIUS: RadiusFilter,
}


class ListingForm(forms.Form):
    def clean(self) -> dict[str, object]:
        data = super().clean() or {}
        if not self.errors:
            for name, fault in find_contradictions(data).items():
                self.add_error(name, fault)
        return data


class ListingFilter(filters.FilterSet):
    """Words, the declared conditions and the status, which means something else here than in ranked answers."""

    filter_type = Filter

    q = filters.CharFilter(
        method="filter_by_words",
        max_length=200,
        help_text="Words that title or description have, in any order, or words that begin with them: `chair` finds "
        f'"chairs", `art` does not find "smart". Case and accents do not count; the first {MAX_WORDS} words do.',
    )
    status = filters.ChoiceFilter(
        choices=Listing.Status.choices,
        help_text="Narrows the list within what you may see: others' active listings, your own, "
        "everything for staff who may view listings.",
    )

    class Meta:
        model = Listing
        fields: list[str] = []
        form = ListingForm

    @classmethod
    def get_filters(cls) -> dict[str, filters.Filter]:
        """Those written out, and one for each declared condition; its field tells the API's pages the type."""
        written = super().get_filters()
        declared = {
            one.parameter.name: FILTERS[one.parameter.kind](
                field_name=one.source_field, help_text=one.parameter.help_text
            )
            for one in cls.filter_type.conditions().values()
            if one.parameter
        }
        return {"q": written.pop("q"), **declared, **written}

    def filter_queryset(self, queryset: ListingQuerySet) -> ListingQuerySet:
        given = self.form.cleaned_data
        queryset = self.filters["q"].filter(queryset, given["q"]).matching(self.to_filter())
        return self.filters["status"].filter(queryset, given["status"])

    def to_filter(self) -> Filter:
        """The declared conditions that are asked for."""
        given = self.form.cleaned_data
        values = {name: given[parameter.name] for name, parameter in self.filter_type.parameters().items()}
        if values["radius_km"] is None:
            values["radius_km"] = DEFAULT_RADIUS_KM
        return self.filter_type(**values)

    def filter_by_words(self, queryset: ListingQuerySet, name: str, value: str) -> ListingQuerySet:
        return queryset.with_words(value)
