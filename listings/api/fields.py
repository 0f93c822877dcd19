"""Fields of a listing that are not columns: the category's path, the site's currency, an exact or public coordinate."""

from __future__ import annotations

import math
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from listings.models import NAME_LENGTH, PATH_LENGTH, Category
from listings.permissions import may_create_categories
from listings.querysets import SEPARATOR

from .numbers import StrictFloatField


@extend_schema_field(OpenApiTypes.STR)
class CategoryPathField(serializers.CharField):
    """A category as its path. An unknown path stays one, for the service to make, from who may add it."""

    default_error_messages = {
        "unknown": "There is no category '{path}'. Use the path of an existing one; only staff with the right add one.",
        "level": "Each level of '{path}' needs a name of 1 to {longest} characters.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=PATH_LENGTH, **kwargs)

    def to_internal_value(self, data: Any) -> Category | str:  # type: ignore[override]
        path = super().to_internal_value(data)
        # Validated before the look-up, because PostgreSQL raises for texts that the validators refuse, such as "\0".
        self.run_validators(path)
        category = Category.objects.filter(path=path).first()
        if category is not None:
            return category
        if not may_create_categories(self.context["request"].user):
            self.fail("unknown", path=path)
        if any(not 0 < len(name) <= NAME_LENGTH or name != name.strip(" /") for name in path.split(SEPARATOR)):
            self.fail("level", path=path, longest=NAME_LENGTH)
        return path

    def run_validators(self, value: object) -> None:
        # DRF calls this method again with the Category that `to_internal_value` has returned, which needs no check.
        if isinstance(value, str):
            super().run_validators(value)

    def to_representation(self, value: Category) -> str:  # type: ignore[override]
        return value.path


@extend_schema_field(OpenApiTypes.STR)
class CurrencyField(serializers.Field):
    """The site has one currency: always answered, and refused when another one is sent."""

    default_error_messages = {"other": "This marketplace trades in {currency}."}

    def get_attribute(self, instance: object) -> str:
        return settings.MARKETPLACE_CURRENCY

    def to_representation(self, value: str) -> str:
        return value

    def to_internal_value(self, data: object) -> str:
        if data != settings.MARKETPLACE_CURRENCY:
            self.fail("other", currency=settings.MARKETPLACE_CURRENCY)
        return settings.MARKETPLACE_CURRENCY


class CoordinateField(StrictFloatField):
    """Degrees. "nan" passes comparisons with a range, so it is refused by name."""

    default_error_messages = {"finite": "A coordinate is a finite number of degrees."}

    def to_internal_value(self, data: Any) -> float:
        try:
            value = super().to_internal_value(data)
        # float() raises for an integer of more than 308 digits, while the same digits as text become infinite.
        except OverflowError:
            self.fail("finite")
        if not math.isfinite(value):
            self.fail("finite")
        return value
