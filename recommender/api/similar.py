from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from listings.api import schema
from listings.models import Listing
from recommender.index import get_index
from recommender.search.retrieval import similar

from .answers import RankedAnswerSerializer, answer_json, refusal
from .errors import CoreView
from .requests import RankedSerializer


class SimilarView(CoreView):
    @extend_schema(
        operation_id="listings_similar",
        summary="Listings like this one",
        description="Compared by all photos of the listing. It may be any that you may open, a sold one too.",
        tags=["search"],
        parameters=[RankedSerializer],
        responses={
            200: RankedAnswerSerializer,
            400: schema.BAD_INPUT,
            404: schema.NOT_FOUND,
            409: refusal("`no_photo`: none is usable; `photo_waiting`: `Retry-After` says when to come back"),
            429: schema.THROTTLED,
            503: refusal("`index_not_ready`; `Retry-After` says when to come back"),
        },
    )
    def get(self, request: Request, listing_id: int) -> Response:
        asked = RankedSerializer(data=request.query_params, context={"user": request.user})
        asked.is_valid(raise_exception=True)
        visible = Listing.objects.visible_to(request.user).select_related("category")
        listing = get_object_or_404(visible, pk=listing_id)
        answer = similar(get_index().state(), listing, asked.ask())
        return Response(answer_json(answer, request, explain=asked.validated_data["explain"]))
