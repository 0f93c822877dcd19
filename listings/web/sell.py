"""Publishing. The listing is saved first, and stays saved whatever becomes of its photos."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from listings.api.sent_again import RequestKey, create_listing_once
from listings.limits.rates import throttle_form
from listings.models import Listing
from listings.photos.no_room import CannotStore
from listings.photos.uploads import refuse_lost_uploads
from listings.services import ListingGone

from .access import SignedInRequest, sign_in_required, wants_json
from .forms import PHOTO_TYPES, ListingForm, SellForm
from .manage import SAID as SAID_OF_LISTINGS
from .manage import render_edit_page
from .uploading import (
    accept_photo_uploads,
    explain_lost_photos,
    go_on_editing,
    refuse_often,
    report_refusals,
    store_usable_photos,
)

SAID = {Listing.Status.ACTIVE: "Your listing is live.", Listing.Status.DRAFT: "Your listing is saved as a draft."}


@require_http_methods(["GET", "HEAD", "POST"])
@sign_in_required
@accept_photo_uploads
def submit_sell_form(request: SignedInRequest) -> HttpResponse:
    if request.method != "POST":
        return _render_form(request, SellForm(initial={"key": uuid.uuid4()}))
    form = SellForm(request.POST)
    if not form.is_valid():
        if wants_json(request):
            return JsonResponse({"errors": form.errors}, status=400)
        return _render_form(request, form)
    scopes = ["publish", "upload"] if request.FILES else ["publish"]
    if seconds := throttle_form(request, *scopes):
        return refuse_often(request, form, seconds, lambda: _render_form(request, form))
    return _publish(request, form)


def _publish(request: SignedInRequest, form: SellForm) -> HttpResponse:
    status = request.POST.get("status")
    fields = {**form.fields_of_listing(), "status": status if status in SAID else Listing.Status.ACTIVE}
    photos = request.FILES.getlist("photos")
    # With what was sent, because Back leads to the same form: another thing described there is another listing.
    sent = [*map(str, form.fields_of_listing().values()), *(getattr(photo, "sha256", "") for photo in photos)]
    key = RequestKey.of(request.user.pk, "sell form", "\0".join([form.cleaned_data["key"].hex, *sent]))
    try:
        refuse_lost_uploads(photos)
        listing, is_new = create_listing_once(request.user, fields, key)
    except ListingGone as exc:
        raise Http404("This form made a listing that was removed since. Open the form anew.") from exc
    except CannotStore as exc:
        return _refuse_for_now(request, form, exc)
    # Also of a form that comes a second time: the first time may have ended between the listing and its photos.
    try:
        kept, refusals = store_usable_photos(listing, photos)
    except CannotStore as exc:
        messages.error(request, f"Your listing is saved. {explain_lost_photos(exc)} Add photos here.")
        return render_edit_page(request, listing, ListingForm(instance=listing), exc.status)
    report_refusals(request, refusals)
    # Nor does it say twice that something was published.
    if not is_new and listing.status != fields["status"]:
        now = SAID_OF_LISTINGS[Listing.Status(listing.status)].format(title=listing.title)
        messages.warning(request, f"This form was sent before. {now} Here you can change that.")
    elif is_new or any(photo.is_new for photo in kept):
        messages.success(request, SAID[Listing.Status(listing.status)])
    return go_on_editing(request, listing, status=201)


def _refuse_for_now(request: HttpRequest, form: SellForm, exc: CannotStore) -> HttpResponse:
    """The form as it was typed."""
    form.add_error(None, f"{explain_lost_photos(exc)} Nothing was saved.")
    if wants_json(request):
        return JsonResponse({"errors": form.errors}, status=exc.status)
    return _render_form(request, form, exc.status)


def _render_form(request: HttpRequest, form: SellForm, status: int = 200) -> HttpResponse:
    return render(request, "listings/sell.html", {"form": form, "photo_types": PHOTO_TYPES}, status=status)
