"""Search by photo. The page takes the file; whoever fills the slot judges it and answers with what looks like it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from listings import slots
from listings.api.photos import ONE_PHOTO_BYTES, ONE_PHOTO_TOO_LARGE, refusal_status
from listings.limits.rates import explain_wait, mark_too_often, throttle_request
from listings.photos.no_room import CannotStore
from listings.photos.uploads import declared_length
from ml.images import PhotoRefused

from .forms import PHOTO_TYPES
from .uploading import accept_photo_uploads, explain_lost_photos


# Who asks for too much is refused before the form is read, as over REST; the CSRF check of `_search_by_photo` reads it.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def photo_search_page(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _render_page(request)
    if declared_length(request) > ONE_PHOTO_BYTES:
        return _render_page(request, error=ONE_PHOTO_TOO_LARGE, status=413)
    if seconds := throttle_request(request, "search"):
        return mark_too_often(_render_page(request, error=explain_wait(seconds)), seconds)
    return _search_by_photo(request)


@accept_photo_uploads
def _search_by_photo(request: HttpRequest) -> HttpResponse:
    # A browser sends an empty file where nobody has chosen one.
    photo = next((file for file in request.FILES.getlist("image") if file.size), None)
    if photo is None:
        return _render_page(request, error="Choose a photo, or take one.", status=400)
    try:
        results = slots.render_slot("photo_search", request=request, photo=photo)
    except PhotoRefused as refusal:
        return _render_page(request, error=refusal.reason, status=refusal_status(refusal.code))
    except CannotStore as exc:
        return _render_page(request, error=explain_lost_photos(exc), status=exc.status)
    return _render_page(request, results=results, searched=True)


def _render_page(request: HttpRequest, status: int = 200, **context: object) -> HttpResponse:
    return render(request, "listings/photo_search.html", {"photo_types": PHOTO_TYPES, **context}, status=status)
