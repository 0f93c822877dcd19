"""The ranked endpoints: listings like a listing, listings like a photo, and the vector of a photo."""

from __future__ import annotations

import uuid
from typing import ClassVar

import structlog
from django.http import QueryDict
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from listings.api import schema
from listings.api.photos import ONE_PHOTO_BYTES, ONE_PHOTO_TOO_LARGE, PhotoFormView
from listings.api.serializers import ListingSerializer
from listings.limits.turns import name_caller
from listings.models import Listing
from listings.permissions import MayEmbedAnyPhoto
from recommender.errors import ModelNotReady
from recommender.index import get_index
from recommender.models import EmbeddingModel
from recommender.search.photo_query import embed_photo
from recommender.search.retrieval import Answer, Result, find_similar_listings, search_by_photo

from .answers import RankedAnswerSerializer, VectorSerializer, document_refusal
from .errors import CoreView
from .requests import PageSearchSerializer, PhotoSearchSerializer, PhotoSerializer, RankedSerializer

PHOTO_REFUSALS = {
    400: schema.BAD_INPUT,
    401: schema.UNAUTHENTICATED,
    413: document_refusal("The photo is too large: `too_large`, `too_many_pixels`"),
    415: document_refusal("Not a photo: `not_an_image`, `truncated`, `unsupported`"),
    429: schema.THROTTLED,
    503: document_refusal("`index_not_ready`, `model_not_ready` or `busy`; `Retry-After` says when to come back"),
    507: schema.FULL,
}


class SimilarView(CoreView):
    query_parameters: ClassVar[dict[str, tuple[str, ...]]] = {"GET": tuple(RankedSerializer().fields)}

    @extend_schema(
        operation_id="listings_similar",
        summary="Listings like this one",
        description="Compared by all photos of the listing. It may be any that you may open, a sold one too. Where "
        "nothing on sale is likely to be the same kind of thing (`min_probability`), `note` says so.",
        tags=["search"],
        parameters=[RankedSerializer],
        responses={
            200: RankedAnswerSerializer,
            400: schema.BAD_INPUT,
            401: schema.UNAUTHENTICATED,
            404: schema.NOT_FOUND,
            409: document_refusal("`no_photo`: none is usable; `photo_waiting`: `Retry-After` says when to come back"),
            429: schema.THROTTLED,
            503: document_refusal("`index_not_ready`; `Retry-After` says when to come back"),
        },
    )
    def get(self, request: Request, listing_id: int) -> Response:
        asked = RankedSerializer(data=request.query_params, context={"user": request.user})
        asked.is_valid(raise_exception=True)
        visible = Listing.objects.visible_to(request.user).select_related("category")
        listing = get_object_or_404(visible, pk=listing_id)
        # The state is taken once for the whole answer, because the index may move on to another one meanwhile.
        answer = find_similar_listings(get_index().get_state(), listing, asked.search_request())
        return Response(answer_json(answer, request, explain=asked.validated_data["explain"]))


class PhotoView(PhotoFormView, CoreView):
    """Takes a form with one photo."""

    throttle_scope = "search"
    most_bytes = ONE_PHOTO_BYTES
    too_large = ONE_PHOTO_TOO_LARGE


class ImageSearchView(PhotoView):
    query_parameters: ClassVar[dict[str, tuple[str, ...]]] = {"POST": tuple(PageSearchSerializer().fields)}
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="search_image",
        summary="Listings like a photo",
        description="Filters may stand in the address, as here, or in the form, which wins. The photo is not kept. "
        "One of fewer than 64 pixels on a side, or of one colour, finds nothing, and `note` says so; as it does where "
        "nothing on sale is likely to be the same kind of thing (`min_probability`).",
        tags=["search"],
        # As parameters only: the API page fills in what optional fields of a form it does not know.
        parameters=[RankedSerializer],
        request={"multipart/form-data": PhotoSerializer},
        responses={200: RankedAnswerSerializer, **PHOTO_REFUSALS},
    )
    def post(self, request: Request) -> Response:
        context = {"user": request.user, "caller": name_caller(request)}
        asked = PhotoSearchSerializer(data=_merge_fields(request), context=context)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        answer = search_by_photo(get_index().get_state(), given["image"], asked.search_request(), given.get("crop"))
        return Response(answer_json(answer, request, explain=given["explain"]))


def _merge_fields(request: Request) -> QueryDict:
    """The parameters of the address, and those of the form in place of ones of the same name."""
    merged = request.query_params.copy()
    if isinstance(request.data, QueryDict):  # a request that sends no form has a plain dictionary here, without `lists`
        for name, values in request.data.lists():
            merged.setlist(name, values)
    return merged


class EmbeddingView(PhotoView):
    query_parameters: ClassVar[dict[str, tuple[str, ...]]] = {}
    permission_classes = (MayEmbedAnyPhoto,)

    @extend_schema(
        operation_id="embed_image",
        summary="The vector of a photo",
        description="For staff who may view embedding models, under the active one. Nothing is stored.",
        tags=["search"],
        request={"multipart/form-data": PhotoSerializer},
        responses={
            200: VectorSerializer,
            401: schema.UNAUTHENTICATED,
            403: document_refusal("Only for staff who may view embedding models"),
            **PHOTO_REFUSALS,
            415: document_refusal(
                "Not a photo that has a vector: `not_an_image`, `truncated`, `unsupported`, `too_small`, `one_colour`"
            ),
        },
    )
    def post(self, request: Request) -> Response:
        asked = PhotoSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        model = EmbeddingModel.objects.find_active()
        if model is None:
            raise ModelNotReady("No model is active: run `manage.py models register`.")
        given = asked.validated_data
        vector = embed_photo(given["image"], model, given.get("crop"), caller=name_caller(request))[0]
        return Response({"model": model.version, "dim": model.dim, "vector": vector.tolist()})


def answer_json(answer: Answer, request: Request, *, explain: bool) -> dict[str, object]:
    state = answer.state
    listings = ListingSerializer([one.listing for one in answer.results], many=True, context={"request": request}).data
    index = {"snapshot": state.snapshot_id, "rows": state.rows, "behind": state.behind}
    ranked = enumerate(zip(answer.results, listings, strict=True), 1)
    note = {"note": answer.note} if answer.note else {}
    return {
        "request_id": _request_id(),
        "model": state.model_version,
        "ranker": answer.ranker,
        "index": index | {"plan": answer.plan} if explain else index,
        "results": [_result_json(rank, one, listing, explain=explain) for rank, (one, listing) in ranked],
        **note,
    }


def _result_json(rank: int, result: Result, listing: dict[str, object], *, explain: bool) -> dict[str, object]:
    figures: dict[str, object] = {
        "score": result.score,
        "similarity": result.similarity,
        "probability": result.probability,
    }
    data = {"rank": rank, "listing": listing, **figures}
    return data | {"reasons": result.reasons} if explain else data


def _request_id() -> str:
    """The id under which the log knows this request."""
    return structlog.contextvars.get_contextvars().get("request_id") or str(uuid.uuid4())
