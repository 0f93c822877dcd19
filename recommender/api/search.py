"""Photos that callers search with: compared and forgotten."""

from __future__ import annotations

from django.conf import settings
from django.http import QueryDict
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny, IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from listings.api import schema
from listings.api.photo_forms import PhotoFormView
from recommender.errors import ModelNotReady
from recommender.index import get_index
from recommender.models import EmbeddingModel
from recommender.search.photo_query import photo_vector
from recommender.search.retrieval import by_vectors

from .answers import RankedAnswerSerializer, VectorSerializer, answer_json, refusal
from .errors import CoreView
from .requests import PhotoSearchSerializer, PhotoSerializer

REFUSALS = {
    400: schema.BAD_INPUT,
    413: refusal("The photo is too large: `too_large`, `too_many_pixels`"),
    415: refusal("Not a photo: `not_an_image`, `truncated`, `unsupported`"),
    429: schema.THROTTLED,
    503: refusal("`index_not_ready`, `model_not_ready` or `busy`; `Retry-After` says when to come back"),
}


class PhotoRequestView(PhotoFormView, CoreView):
    """A form with one photo."""

    throttle_scope = "search"
    most_bytes = settings.PHOTO_MAX_BYTES + 1024 * 1024  # beside the photo a request holds boundaries and part headers
    too_large = f"The photo is larger than {settings.PHOTO_MAX_BYTES // (1024 * 1024)} MB."


class ImageSearchView(PhotoRequestView):
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="search_image",
        summary="Listings like a photo",
        description="Filters may stand in the form or in the address; the form wins. The photo is not kept.",
        tags=["search"],
        request={"multipart/form-data": PhotoSearchSerializer},
        responses={200: RankedAnswerSerializer, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        asked = PhotoSearchSerializer(data=_fields(request), context={"user": request.user})
        asked.is_valid(raise_exception=True)
        state = get_index().state()
        model = EmbeddingModel.objects.get(pk=state.model_id)
        vectors = photo_vector(asked.validated_data["image"], model, asked.validated_data.get("crop"))
        answer = by_vectors(state, vectors, model.pk, asked.ask())
        return Response(answer_json(answer, request, explain=asked.validated_data["explain"]))


def _fields(request: Request) -> QueryDict:
    """What the address and the form say together."""
    merged = request.query_params.copy()
    if isinstance(request.data, QueryDict):  # a request without a body has a plain dictionary
        for name, values in request.data.lists():
            merged.setlist(name, values)
    return merged


class EmbeddingView(PhotoRequestView):
    permission_classes = (IsAdminUser,)

    @extend_schema(
        operation_id="embed_image",
        summary="The vector of a photo",
        description="For staff, under the active model. Nothing is stored.",
        tags=["search"],
        request={"multipart/form-data": PhotoSerializer},
        responses={200: VectorSerializer, 401: schema.UNAUTHENTICATED, 403: refusal("Only for staff"), **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        asked = PhotoSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        model = EmbeddingModel.objects.find_active()
        if model is None:
            raise ModelNotReady("No model is active: run `manage.py models register`.")
        vector = photo_vector(asked.validated_data["image"], model, asked.validated_data.get("crop"))[0]
        return Response({"model": model.version, "dim": model.dim, "vector": vector.tolist()})
