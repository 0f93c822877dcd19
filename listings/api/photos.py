"""Photos of a listing: each file of an upload is judged by itself, the good ones are stored together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

from django.conf import settings
from django.core.files.base import File
from django.db.models import QuerySet
from django.http import HttpRequest
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from listings.models import Listing, ListingImage
from listings.permissions import MayChangeListing, MayDeletePhotos
from listings.photos.uploads import CheckedPhoto, PhotoUploadHandler, check_photos, declared_length
from listings.services import KeptPhoto, ListingGone, TooManyPhotos, add_photos
from ml.images import PhotoRefused

from . import schema, sent_again
from .parsers import BodyTooLarge
from .request_keys import read_request_key, refuse_used_key
from .serializers import CSRF, ImageSerializer, UploadedPhotoSerializer, UploadSerializer

# Each is one entry of the answer.
STORED = {"id": 7, "state": "new", "reason": "", "code": "", "thumb": None, "position": 0}
NO_PHOTO = "The file is not a photo."
REFUSED = {"id": None, "state": "rejected", "reason": NO_PHOTO, "code": "not_an_image", "thumb": None, "position": None}
TOO_LARGE = frozenset({"too_large", "too_many_pixels"})
# A form with one photo holds more than that: boundaries, headers, fields.
ONE_PHOTO_BYTES = settings.PHOTO_MAX_BYTES + 1024 * 1024
ONE_PHOTO_TOO_LARGE = f"The photo is larger than {settings.PHOTO_MAX_BYTES // (1024 * 1024)} MB."


class RefusedPhoto(APIException):
    """Every file of the request was refused; says why the first one was."""

    def __init__(self, refusal: PhotoRefused) -> None:
        super().__init__(refusal.reason, refusal.code)
        self.status_code = refusal_status(refusal.code)


def refusal_status(code: str) -> int:
    if code in TOO_LARGE:
        return status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    return status.HTTP_415_UNSUPPORTED_MEDIA_TYPE


class OwnListingView(generics.GenericAPIView):
    """A listing that this caller may edit: 404 where it may not be seen, 403 where it is another's."""

    queryset = Listing.objects.none()
    permission_classes: Sequence[type[BasePermission]] = (IsAuthenticated, MayChangeListing)
    query_parameters: ClassVar[dict[str, tuple[str, ...]]] = {}
    filter_backends = ()
    lookup_url_kwarg = "listing_id"

    def get_queryset(self) -> QuerySet[Listing]:
        return Listing.objects.visible_to(self.request.user)


class PhotoFormView(APIView):
    """A view that takes a form of photos and keeps no more of each than the limit.

    A body that says it is longer than `most_bytes` is refused unread, before the sender is known: to authenticate a
    browser its form is read for the CSRF token, and to count a request against a limit costs a round trip.
    """

    parser_classes = (MultiPartParser,)
    most_bytes: ClassVar[int]
    too_large: ClassVar[str]

    def initialize_request(self, request: HttpRequest, *args: object, **kwargs: object) -> Request:
        # Set before authentication, whose CSRF check may read the form: then Django accepts no other upload handler.
        request.upload_handlers = [PhotoUploadHandler(request)]
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        if declared_length(request) > self.most_bytes:
            raise BodyTooLarge(self.too_large)
        super().initial(request, *args, **kwargs)


class PhotosView(PhotoFormView, OwnListingView):
    serializer_class = UploadSerializer
    throttle_scope = "upload"
    most_bytes = settings.BODY_MAX_BYTES
    too_large = f"A request holds at most {settings.BODY_MAX_BYTES // (1024 * 1024)} MB of photos."

    @extend_schema(
        summary="Add photos",
        description="Send the files as `multipart/form-data`, field `images`, once per photo: JPEG, PNG, WebP, HEIC, "
        "AVIF or GIF, at most 40 MB each and 10 for a listing, of at least 64 pixels a side and more than one "
        "colour. Each is judged by itself: the answer lists them in order. A refused one has no id and says why; if "
        "all are refused, the status is the first one's 413 or 415. Photos are `new` until a worker looked at them, "
        "usually within a second. The same bytes stay one photo of a listing, so a request may be sent again.",
        tags=["photos"],
        parameters=[schema.REQUEST_KEY],
        request={"multipart/form-data": UploadSerializer},
        responses={
            201: OpenApiResponse(
                UploadedPhotoSerializer(many=True),
                "At least one photo was stored",
                examples=[
                    OpenApiExample("One stored", value=STORED),
                    OpenApiExample("One refused, beside others that were stored", value=REFUSED),
                ],
            ),
            200: OpenApiResponse(UploadedPhotoSerializer(many=True), "The listing had all of these photos already"),
            **schema.WRITE,
            413: schema.TOO_LARGE,
            415: schema.NOT_A_PHOTO,
            422: schema.KEY_REUSED,
        },
    )
    def post(self, request: Request, listing_id: int) -> Response:
        listing = self.get_object()
        if unknown := {*request.data} - {"images", CSRF}:
            sentence = "There is no such field. Send the photos in the field 'images'."
            raise ValidationError({name: [sentence] for name in sorted(unknown)})
        files = request.FILES.getlist("images")
        if not files:
            raise ValidationError({"images": ["Send at least one photo in the field 'images'."]})
        judged = check_photos(files)
        if all(isinstance(photo, PhotoRefused) for photo in judged):
            raise RefusedPhoto(next(photo for photo in judged if isinstance(photo, PhotoRefused)))
        with self._claim_key(request, listing, files):
            kept = self._store_photos(listing, [photo for photo in judged if isinstance(photo, CheckedPhoto)])
        # The good files are stored together, so the answer has to put them back between the refused ones, one by one.
        images = (photo.image for photo in kept)
        answer = [
            _describe_refusal(photo) if isinstance(photo, PhotoRefused) else self._describe_kept_photo(next(images))
            for photo in judged
        ]
        is_new = any(photo.is_new for photo in kept)
        return Response(answer, status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)

    def _store_photos(self, listing: Listing, photos: Sequence[CheckedPhoto]) -> list[KeptPhoto]:
        try:
            return add_photos(listing, photos)
        except TooManyPhotos as exc:
            raise ValidationError({"images": [str(exc)]}) from exc
        except ListingGone as exc:
            raise NotFound from exc

    @contextmanager
    def _claim_key(self, request: Request, listing: Listing, files: Sequence[File]) -> Iterator[None]:
        # Their bytes say that photos are the same, so of a key only is asked that it came with no others. All that was
        # sent counts, because which of it is judged a photo may differ from one time to the next.
        if sent_again.HEADER not in request.headers:
            yield
            return
        sent = [getattr(file, "sha256", "") for file in files]
        key = read_request_key(request, f"photos of {listing.pk}", sent)
        with refuse_used_key(), key.claim(listing):
            yield

    def _describe_kept_photo(self, image: ListingImage) -> dict[str, object]:
        stored = {"id": image.pk, "state": image.state, "reason": image.reason, "code": ""}
        # A worker makes the thumbnail of a new photo after this answer; one that was there before may have it.
        thumb = None
        if image.thumb_file:
            thumb = ImageSerializer(context=self.get_serializer_context()).get_thumb(image)
        return {**stored, "thumb": thumb, "position": image.position}


def _describe_refusal(refusal: PhotoRefused) -> dict[str, object]:
    refused = {"id": None, "state": "rejected", "reason": refusal.reason, "code": refusal.code}
    return {**refused, "thumb": None, "position": None}


class PhotoView(OwnListingView):
    permission_classes = (IsAuthenticated, MayDeletePhotos)

    @extend_schema(
        summary="Delete a photo",
        description="Its files are deleted with it.",
        tags=["photos"],
        request=None,
        responses={204: None, **{code: schema.WRITE[code] for code in (401, 403, 404, 429, 503, 507)}},
    )
    def delete(self, request: Request, listing_id: int, image_id: int) -> Response:
        deleted, _ = self.get_object().images.filter(pk=image_id).delete()
        if not deleted:
            raise NotFound("This listing has no such photo.")
        return Response(status=status.HTTP_204_NO_CONTENT)
