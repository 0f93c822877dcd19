"""How pages take photos: streamed to disk, judged one by one, the good ones stored, the others named with a reason."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps

from django.conf import settings
from django.contrib import messages
from django.core.files.base import File
from django.forms import BaseForm
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from listings.limits.rates import explain_wait, mark_too_often
from listings.models import Listing
from listings.photos.no_room import CannotStore
from listings.photos.uploads import CheckedPhoto, PhotoUploadHandler, check_photos, declared_length
from listings.services import (
    KeptPhoto,
    ListingGone,
    TooManyPhotos,
    add_photos,
    explain_too_many_photos,
    leave_out_known_photos,
    room_for_photos,
)
from ml.images import PhotoRefused

from .access import View, wants_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refusal:
    """One file that was not kept, and why."""

    name: str
    reason: str


def accept_photo_uploads(view: View) -> View:
    """Stream the files of a form to disk. The CSRF check reads the form, so it comes after the handler is set."""
    protected = csrf_protect(view)

    # Exempt from the CSRF middleware, which would read the form before the handler is set; `protected` checks instead.
    @csrf_exempt
    @wraps(view)
    def wrapper(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if declared_length(request) > settings.BODY_MAX_BYTES:
            return render(request, "413.html", {"most": settings.BODY_MAX_BYTES}, status=413)
        request.upload_handlers = [PhotoUploadHandler(request)]
        return protected(request, *args, **kwargs)

    return wrapper


def check_and_split_photos(files: Sequence[File]) -> tuple[list[CheckedPhoto], list[Refusal]]:
    judged = list(zip(files, check_photos(files), strict=True))
    photos = [photo for _, photo in judged if isinstance(photo, CheckedPhoto)]
    refusals = [Refusal(file.name or "photo", one.reason) for file, one in judged if isinstance(one, PhotoRefused)]
    return photos, refusals


def store_usable_photos(listing: Listing, files: Sequence[File]) -> tuple[list[KeptPhoto], list[Refusal]]:
    """Keep the good photos and answer the others. A photo the listing has already is not stored again."""
    photos, refusals = check_and_split_photos(files)
    if not photos:
        return [], refusals
    new = leave_out_known_photos(listing.pk, photos)
    room = room_for_photos(listing.pk)
    refusals += [Refusal(photo.file.name or "photo", explain_too_many_photos(room)) for photo in new[room:]]
    kept: list[KeptPhoto] = []
    try:
        kept = add_photos(listing, new[:room])
    # Another upload may have taken the room since it was counted above.
    except TooManyPhotos as exc:
        refusals += [Refusal(photo.file.name or "photo", str(exc)) for photo in new[:room]]
    except ListingGone as exc:
        raise Http404("This listing was removed.") from exc
    return kept, refusals


def explain_lost_photos(exc: CannotStore) -> str:
    """The sentence for whoever sent photos; the log has the reason."""
    logger.error("%s", exc.sentence, exc_info=exc)
    return exc.sentence


def report_refusals(request: HttpRequest, refusals: Sequence[Refusal]) -> None:
    for refusal in refusals:
        messages.warning(request, f"{refusal.name} was left out. {refusal.reason}")


def go_on_editing(request: HttpRequest, listing: Listing, status: int = 200) -> HttpResponse:
    """To the seller's page of a listing; for the script its address, and where photos can be sent one by one."""
    page = reverse("my-listing", args=[listing.pk])
    if wants_json(request):
        return JsonResponse({"photos": reverse("add-photos", args=[listing.pk]), "next": page}, status=status)
    return redirect(page)


def refuse_often(
    request: HttpRequest, form: BaseForm, seconds: int, render_form: Callable[[], HttpResponse]
) -> HttpResponse:
    """The form as it was typed, and when to send it again."""
    form.add_error(None, f"{explain_wait(seconds)} Nothing was saved.")
    return mark_too_often(JsonResponse({"errors": form.errors}) if wants_json(request) else render_form(), seconds)
