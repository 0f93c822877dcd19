"""Numbers as people and programs write them for one another: ASCII digits, a point, a minus.

Python itself reads more: `1_0` as ten, `inf` and `nan`, `1e5`, digits of every script.
"""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from rest_framework import serializers

# Spaces around a number come with copying, and change nothing.
NUMBER = re.compile(r" *(-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)) *")
# More digits than any number of a marketplace has; reading thousands of them takes Python long.
LONGEST = 400
PRICE_MESSAGES = {
    "invalid": "Write the price as a number, such as 12.50.",
    "max_digits": "This price has too many digits.",
    "max_whole_digits": "This price has too many digits.",
    "max_decimal_places": "A price has at most two digits after the point.",
    "max_string_length": "This price has too many digits.",
}


def match_number(value: object) -> str | None:
    """The number that a text stands for, without spaces around it; None for any other text."""
    match = NUMBER.fullmatch(str(value)[: LONGEST + 1])
    return match[1] if match and len(match[1]) <= LONGEST else None


def read_float(text: str) -> float:
    """Raises ValueError for a text that is no number."""
    number = match_number(text)
    if number is None:
        raise ValueError(f"no number: {text[:80]!r}")
    # Adding zero turns -0 into 0.
    return float(number) + 0.0


class _NumberOfForm(forms.Field):
    """A form field that is given nothing but numbers."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.strip() and match_number(value) is None:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class PriceInput(_NumberOfForm, forms.DecimalField):
    default_error_messages = {**PRICE_MESSAGES}


class FloatInput(_NumberOfForm, forms.FloatField):
    pass


class IntegerInput(_NumberOfForm, forms.IntegerField):
    pass


class _NumberOfBody(serializers.Field):
    """A serializer field that is given nothing but numbers, as text or as JSON has them."""

    def to_internal_value(self, data: Any) -> Any:
        # `true` is no number, but Python counts it as 1.
        is_number = isinstance(data, int | float) and not isinstance(data, bool)
        if not is_number and (not isinstance(data, str) or match_number(data) is None):
            self.fail("invalid")
        value = super().to_internal_value(data)
        return abs(value) if value == 0 else value


class StrictDecimalField(_NumberOfBody, serializers.DecimalField):
    pass


class StrictFloatField(_NumberOfBody, serializers.FloatField):
    pass


class StrictIntegerField(_NumberOfBody, serializers.IntegerField):
    pass
