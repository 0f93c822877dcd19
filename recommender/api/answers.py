"""What ranked endpoints answer, as their documentation shows it; `views.answer_json` makes it."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema_serializer
from rest_framework import serializers

from listings.api.serializers import ErrorSerializer, ListingSerializer


class ReasonSerializer(serializers.Serializer):
    value = serializers.FloatField(help_text="The feature, from 0 to 1; 0.5 where it is not known.")
    weight = serializers.FloatField()
    contribution = serializers.FloatField(help_text="Contributions sum to the score.")
    text = serializers.CharField()


class ResultSerializer(serializers.Serializer):
    rank = serializers.IntegerField(help_text="1 is the best.")
    listing = ListingSerializer()
    score = serializers.FloatField(help_text="From 0 to 1; results are ordered by it.")
    similarity = serializers.FloatField(help_text="Highest cosine between the photos of the query and of the listing.")
    probability = serializers.FloatField(
        allow_null=True,
        help_text="That the photos show the same kind of thing, from 0 to 1; null where the model is not calibrated.",
    )
    reasons = serializers.DictField(child=ReasonSerializer(), required=False, help_text="With `explain=1`, by feature.")


class PlanSerializer(serializers.Serializer):
    """How one part of the index was searched for one photo of the query."""

    place = serializers.CharField(
        help_text="`delta`: the photos whose vectors are newer than the snapshot. Else the name of one of the "
        "snapshot's segments; every photo is in one place only."
    )
    how = serializers.ChoiceField(
        choices=["exact", "codes"],
        help_text="`exact`: the query was compared with every selected photo. `codes`: a large segment keeps similar "
        "photos in lists, and a short code of each; only lists near the query were looked into, and only what the "
        "codes put first there was compared, so a few of the most similar photos may be missing.",
    )
    selected = serializers.IntegerField(help_text="Photos here that pass the filters.")
    compared = serializers.IntegerField(help_text="Photos here whose whole vector was compared with the query's.")
    lists = serializers.IntegerField(help_text="Lists looked into; 0 with `exact`.")


class IndexSerializer(serializers.Serializer):
    snapshot = serializers.IntegerField(allow_null=True)
    rows = serializers.IntegerField(help_text="Photos searched.")
    behind = serializers.IntegerField(help_text="Changes the index has not seen yet.")
    plan = PlanSerializer(
        many=True,
        required=False,
        help_text="With `explain=1`: how the index was searched. One entry for each segment and photo of the query, "
        "and one for the delta; none for a place where no photo passes the filters. A search that was repeated, "
        "because too many of its results had just been withdrawn, adds its entries.",
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Ranked",
            value={
                "request_id": "4f0c3d0e-3c58-4a8e-a6a0-0f4f6a6f2d11",
                "model": "untrained",
                "ranker": "linear-1",
                "index": {
                    "snapshot": 12,
                    "rows": 1_004_210,
                    "behind": 0,
                    "plan": [
                        {
                            "place": "9f2c41d07ab3-5e8d1c22",
                            "how": "codes",
                            "selected": 701_544,
                            "compared": 1340,
                            "lists": 31,
                        },
                        {"place": "delta", "how": "exact", "selected": 87, "compared": 87, "lists": 0},
                    ],
                },
                "results": [
                    {
                        "rank": 1,
                        "listing": {
                            "id": 42,
                            "url": "https://example.org/listings/42/",
                            "title": "Oak chair",
                            "description": "Solid oak, one scratch on the left arm.",
                            "price": "45.00",
                            "currency": "GBP",
                            "category": "Home & Garden / Furniture / Chairs",
                            "location": "Leeds",
                            "latitude": 53.80187,
                            "longitude": -1.54606,
                            "status": "active",
                            "seller": {"id": 7, "name": "anna"},
                            "created_at": "2026-03-01T10:00:00Z",
                            "images": [],
                        },
                        "score": 0.871,
                        "similarity": 0.913,
                        "probability": 0.994,
                        "reasons": {
                            "similarity": {
                                "value": 0.913,
                                "weight": 1.0,
                                "contribution": 0.581,
                                "text": "looks nearly the same",
                            }
                        },
                    }
                ],
            },
            response_only=True,
        )
    ]
)
class RankedAnswerSerializer(serializers.Serializer):
    request_id = serializers.CharField()
    model = serializers.CharField(help_text="Version of the model that compared the photos.")
    ranker = serializers.CharField(help_text="Version of the weights that ordered the results.")
    index = IndexSerializer()
    results = ResultSerializer(many=True)
    note = serializers.CharField(required=False, help_text="Why nothing was found; else left out.")


class VectorSerializer(serializers.Serializer):
    model = serializers.CharField()
    dim = serializers.IntegerField()
    vector = serializers.ListField(child=serializers.FloatField(), help_text="L2-normalised.")


def document_refusal(description: str) -> OpenApiResponse:
    return OpenApiResponse(ErrorSerializer, description)
