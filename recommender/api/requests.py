"""What callers send to ranked endpoints."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from recommender.search.filters import FilterSerializer, FiniteFloatField
from recommender.search.retrieval import SearchRequest

MAX_RESULTS = 100
SLACK = 1e-6  # fractions that were rounded may sum to this much more than one


@extend_schema_field(OpenApiTypes.STR)
class CropField(serializers.CharField):
    """Parses `x,y,w,h`, a rectangle in fractions of the upright picture, into a `Box`."""

    default_error_messages = {
        "crop": "Write x,y,w,h as fractions of the picture, such as 0.25,0.1,0.5,0.5; the rectangle lies inside it."
    }

    def to_internal_value(self, data: Any) -> Any:
        try:
            x, y, width, height = (float(part) for part in super().to_internal_value(data).split(","))
        except ValueError:
            self.fail("crop")
        inside = 0 <= x < 1 and 0 <= y < 1 and 0 < width <= 1 - x + SLACK and 0 < height <= 1 - y + SLACK
        if not inside:
            self.fail("crop")
        return x, y, width, height


class RankedSerializer(FilterSerializer):
    """The filters, how many results are wanted, and how similar they must be."""

    limit = serializers.IntegerField(required=False, min_value=1, max_value=MAX_RESULTS, default=20)
    min_similarity = FiniteFloatField(
        required=False, min_value=-1, max_value=1, default=-1.0, help_text="Lowest cosine between photos."
    )
    explain = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Add `reasons`, whose contributions sum to the score, and `index.plan`, how the index was searched.",
    )

    def search_request(self) -> SearchRequest:
        given = self.validated_data
        return SearchRequest(self.to_filter(), self.context["user"], given["limit"], given["min_similarity"])


class CropSerializer(serializers.Serializer):
    crop = CropField(required=False, help_text="`x,y,w,h` as fractions of the upright picture: search with this part.")


class PhotoSerializer(CropSerializer):
    image = serializers.FileField(
        allow_empty_file=True,  # the photo check says better what is wrong with it
        help_text="JPEG, PNG, WebP, HEIC, AVIF or GIF, at most 20 MB.",
    )


class PhotoSearchSerializer(PhotoSerializer, RankedSerializer):
    """A photo, and the filters."""


class PageSearchSerializer(CropSerializer, RankedSerializer):
    """What a page's form may hold beside the photo."""
