"""Publishing. The listing is saved first, and stays saved whatever becomes of its photos."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from listings.models import Listing
from listings.services import create_listing

from .access import SignedInRequest, sign_in_required, wants_json
from .forms import PHOTO_TYPES, SellForm
from .uploading import accept_photo_uploads, go_on_editing, report_refusals, store_usable_photos

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
    status = request.POST.get("status")
    fields = {**form.fields_of_listing(), "status": status if status in SAID else Listing.Status.ACTIVE}
    photos = request.FILES.getlist("photos")
    # With what was sent, because Back leads to the same form: another thing described there is another listing.
    sent = [*map(str, form.fields_of_listing().values()), *(getattr(photo, "sha256", "") for photo in photos)]
    key = uuid.uuid5(form.cleaned_data["key"], "\0".join(sent))
    listing, is_new = create_listing_once(request.user, fields, key)
    # A form that comes a second time must neither add its photos again nor say that something was published.
    if is_new:
        report_refusals(request, store_usable_photos(listing, photos))
        messages.success(request, SAID[Listing.Status(listing.status)])
    return go_on_editing(request, listing, status=201)


def create_listing_once(seller: User, fields: dict, key: uuid.UUID) -> tuple[Listing, bool]:
    """A new listing, or the one this very form made before: shaky networks and impatient fingers send forms twice."""
    # The unique index on external ids decides which of two simultaneous requests makes the listing.
    # The id holds the seller as well, so a key that somebody else has seen is worth nothing to them.
    external_id = f"form:{seller.pk}:{key.hex}"
    try:
        return create_listing(seller, {**fields, "external_id": external_id}), True
    except IntegrityError:
        return Listing.objects.get(seller=seller, external_id=external_id), False


def _render_form(request: HttpRequest, form: SellForm) -> HttpResponse:
    return render(request, "listings/sell.html", {"form": form, "photo_types": PHOTO_TYPES})
