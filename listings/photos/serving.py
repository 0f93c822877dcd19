"""Files of photos over HTTP: derivatives to whoever sees the listing, originals to few, each download logged."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TypeVar

import structlog
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import path, register_converter
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.views import APIView

from listings.models import ListingImage
from listings.permissions import may_view_originals, may_view_pictures

log = structlog.get_logger(__name__)

R = TypeVar("R", bound=HttpResponseBase)

# Whatever a browser takes the bytes of a photo for, this policy lets them run no script and load nothing.
SANDBOX = "sandbox; default-src 'none'"
# A picture whose listing is removed or becomes a draft is to be gone within a minute, from every cache on the way too.
# To ask again is cheap: the bytes never change under their name, which therefore is their ETag.
PUBLIC = "public, max-age=60, must-revalidate"
# Kept by the browser of who may see it, and shown only after asking: somebody else may have signed in there.
PRIVATE = "private, no-cache"
# A file's folder → the field that names it.
FIELDS = {"clean": "clean_file", "thumb": "thumb_file"}


class DerivativeConverter:
    """Names that workers give, and nothing else: no dots but the last, no folder above two hexadecimal digits."""

    regex = r"(?:clean|thumb)/(?:[0-9a-f]{2}/)?[A-Za-z0-9_-]{1,100}\.jpg"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(DerivativeConverter, "derivative")


@require_safe
def serve_derivative(request: HttpRequest, name: str) -> HttpResponseBase:
    """As open as the page of its listing. Nobody learns whether a file exists that they may not see."""
    owners = list(_find_owners(name))
    # Only where a visitor may not see it, it matters who asks, and to find that out costs queries.
    is_public = any(may_view_pictures(AnonymousUser(), *owner) for owner in owners)
    if not is_public:
        person = _find_person(request)
        if not any(may_view_pictures(person, *owner) for owner in owners):
            raise Http404("There is no such photo.")
    response = get_conditional_response(request, etag=f'"{name}"') or _open_derivative(name)
    response["ETag"] = f'"{name}"'
    response["Cache-Control"] = PUBLIC if is_public else PRIVATE
    return _forbid_scripts(response)


def _find_person(request: HttpRequest) -> User | AnonymousUser:
    """By the session of the pages or the token of the API, whose answers hold these addresses."""
    try:
        return Request(request, authenticators=[one() for one in APIView.authentication_classes]).user
    except APIException:
        return AnonymousUser()


def _find_owners(name: str) -> QuerySet[ListingImage, tuple[int, str]]:
    """Sellers and states of the listings whose photo names this file."""
    field = FIELDS[name.partition("/")[0]]
    return ListingImage.objects.filter(**{field: name}).values_list("listing__seller", "listing__status").order_by()


def _open_derivative(name: str) -> FileResponse:
    try:
        return FileResponse(default_storage.open(name), content_type="image/jpeg")
    except OSError as exc:
        raise Http404("There is no such photo.") from exc


@require_safe
@login_required
def serve_original(request: HttpRequest, image_id: int) -> FileResponse:
    """As it was sent, metadata included; a browser stores it and shows nothing."""
    if not may_view_originals(request.user):
        raise PermissionDenied("Only staff who may view photos can load what was sent.")
    image = get_object_or_404(ListingImage, pk=image_id)
    try:
        file = image.original.open()
    # Django raises ValueError for a row that names no file, which is a 404 for the reader like a file that is lost.
    except (OSError, ValueError) as exc:
        raise Http404("The original file of this photo is gone.") from exc
    log.info("original_downloaded", image=image.pk, listing=image.listing_id, by=request.user.pk)
    name = f"photo-{image.pk}{PurePosixPath(image.original.path).suffix}"
    # A neutral type and an attachment: an original is whatever somebody sent, so a browser must not render it.
    response = FileResponse(file, as_attachment=True, filename=name, content_type="application/octet-stream")
    # An original may tell where a photo was taken, so no cache may keep it, neither the browser's nor one on the way.
    response["Cache-Control"] = "private, no-store"
    return _forbid_scripts(response)


def _forbid_scripts(response: R) -> R:
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = SANDBOX
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


urlpatterns = [
    path("media/<derivative:name>", serve_derivative, name="media"),
    path("originals/<int:image_id>/", serve_original, name="original"),
]
