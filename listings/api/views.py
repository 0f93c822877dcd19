from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.exceptions import NotFound
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from listings.models import Listing
from listings.permissions import MayChangeListing
from listings.services import ListingGone, mark_listing_removed

from . import schema, sent_again
from .filters import ListingFilter
from .pagination import ListingPagination
from .parsers import BoundedJSONParser
from .request_keys import read_request_key, refuse_used_key
from .serializers import ListingSerializer

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@extend_schema_view(
    get=extend_schema(
        summary="Find listings",
        description="Others' active listings and your own; staff with that right see all. Newest first, in pages.",
        tags=["listings"],
        responses={200: ListingSerializer(many=True), **schema.READ},
    ),
    post=extend_schema(
        summary="Publish a listing",
        description="You become its seller. Send its photos to `images/` afterwards. With an `Idempotency-Key` the "
        "request may be sent again when its answer was lost.",
        tags=["listings"],
        parameters=[schema.REQUEST_KEY],
        responses={
            201: ListingSerializer,
            200: OpenApiResponse(ListingSerializer, "The listing that this request made before, as it is now"),
            **{code: schema.WRITE[code] for code in (400, 401, 429, 503, 507)},
            409: schema.ALREADY_GONE,
            422: schema.KEY_REUSED,
        },
    ),
)
class ListingsView(generics.ListCreateAPIView):
    query_parameters: ClassVar[dict[str, tuple[str, ...]]] = {
        "GET": (*ListingFilter.base_filters, *ListingPagination.parameters)
    }
    serializer_class = ListingSerializer
    permission_classes = (IsAuthenticatedOrReadOnly,)
    parser_classes = (BoundedJSONParser,)
    pagination_class = ListingPagination
    filterset_class = ListingFilter

    @property
    def throttle_scope(self) -> str | None:
        return "publish" if self.request.method == "POST" else None

    def get_queryset(self) -> QuerySet[Listing]:
        return Listing.objects.shown_in_lists_to(self.request.user).with_details()

    def get_serializer_context(self) -> dict[str, object]:
        # A list shows everybody only grid points, but whoever has just published reads back the exact point.
        return {**super().get_serializer_context(), "exact_point": self.request.method == "POST"}

    def create(self, request: Request, *args: object, **kwargs: object) -> Response:
        if sent_again.HEADER not in request.headers:
            return super().create(request, *args, **kwargs)
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        key = read_request_key(request, "listings", request.data)
        with refuse_used_key():
            seller = cast("User", request.user)  # this view lets nobody else create
            listing, is_new = sent_again.create_listing_once(seller, serializer.validated_data, key)
        answer = self.get_serializer(listing).data
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(answer, code, headers=self.get_success_headers(answer))


@extend_schema_view(
    get=extend_schema(
        summary="Open a listing",
        description="Active and sold listings are open to everybody, drafts to their seller and to staff who may view "
        "listings. These read exact coordinates here, to edit them; everybody else a point of the 1 km grid.",
        tags=["listings"],
        responses={
            200: ListingSerializer,
            401: schema.UNAUTHENTICATED,
            404: schema.NOT_FOUND,
            429: schema.THROTTLED,
            503: schema.UNAVAILABLE,
        },
    ),
    patch=extend_schema(
        summary="Change a listing",
        description="Send only what changes. `status` moves freely between `draft`, `active` and `sold`.",
        tags=["listings"],
        responses={200: ListingSerializer, **schema.WRITE},
    ),
    delete=extend_schema(
        summary="Remove a listing",
        description="It becomes `removed`: from then on only staff who may view listings see it.",
        tags=["listings"],
        responses={204: None, **{code: schema.WRITE[code] for code in (401, 403, 404, 429, 503, 507)}},
    ),
)
class ListingView(generics.RetrieveUpdateDestroyAPIView):
    # No PUT: a client that leaves out a field it does not know would erase it.
    http_method_names = ["get", "patch", "delete", "head", "options"]
    query_parameters: ClassVar[dict[str, tuple[str, ...]]] = {}
    serializer_class = ListingSerializer
    permission_classes = (IsAuthenticatedOrReadOnly, MayChangeListing)
    parser_classes = (BoundedJSONParser,)
    # No filters, because one of those that lists have, such as `status`, would make a listing that may be opened a 404.
    filter_backends = ()
    lookup_url_kwarg = "listing_id"

    def get_queryset(self) -> QuerySet[Listing]:
        return Listing.objects.visible_to(self.request.user).with_details()

    def get_serializer_context(self) -> dict[str, object]:
        return {**super().get_serializer_context(), "exact_point": True}

    def perform_update(self, serializer: BaseSerializer) -> None:
        try:
            serializer.save()
        except ListingGone as exc:
            raise NotFound from exc

    def perform_destroy(self, instance: Listing) -> None:
        mark_listing_removed(instance)
