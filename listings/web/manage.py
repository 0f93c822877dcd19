"""What a seller does with listings that exist: edit, mark sold or active, remove."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from listings.limits.rates import throttle_request
from listings.models import Listing, ListingImage
from listings.photos.no_room import CannotStore
from listings.services import ListingGone, mark_listing_removed, room_for_photos, update_listing

from .access import SignedInRequest, get_editable_listing_or_403, sign_in_required, wants_json
from .forms import PHOTO_TYPES, ListingForm
from .pages import NoSuchPage, paginate_listings
from .photos import LABELS
from .uploading import (
    accept_photo_uploads,
    explain_lost_photos,
    go_on_editing,
    refuse_often,
    report_refusals,
    store_usable_photos,
)

Status, Photo = Listing.Status, ListingImage.State

SAID = {
    Status.ACTIVE: "“{title}” is on sale.",
    Status.SOLD: "“{title}” is marked as sold.",
    Status.DRAFT: "“{title}” is a draft: only you can see it.",
}


@require_safe
@sign_in_required
def my_listings_page(request: SignedInRequest) -> HttpResponse:
    listings = Listing.objects.filter(seller=request.user).exclude(status=Status.REMOVED).with_details()
    status = request.GET.get("status", "")
    if status in SAID:
        listings = listings.filter(status=status)
    try:
        page = paginate_listings(listings, request)
    except NoSuchPage:
        return redirect("my-listings")
    tabs = [("", "All"), (Status.ACTIVE, "On sale"), (Status.SOLD, "Sold"), (Status.DRAFT, "Drafts")]
    return render(request, "listings/my_listings.html", {"page": page, "status": status, "tabs": tabs})


@require_http_methods(["GET", "HEAD", "POST"])
@sign_in_required
@accept_photo_uploads
def edit_listing(request: HttpRequest, listing_id: int) -> HttpResponse:
    listing = get_editable_listing_or_403(request, listing_id)
    if request.method != "POST":
        return render_edit_page(request, listing, ListingForm(instance=listing))
    # Kept also where the text is refused, because no browser fills in again which files were chosen.
    form = ListingForm(request.POST, instance=listing)
    if request.FILES and (seconds := throttle_request(request, "upload")):
        present = get_editable_listing_or_403(request, listing_id)
        return refuse_often(request, form, seconds, lambda: render_edit_page(request, present, form))
    try:
        _, refusals = store_usable_photos(listing, request.FILES.getlist("photos"))
    except CannotStore as exc:
        form.add_error(None, explain_lost_photos(exc))
        return render_edit_page(request, get_editable_listing_or_403(request, listing_id), form, exc.status)
    report_refusals(request, refusals)
    if not form.is_valid():
        if wants_json(request):
            return JsonResponse({"errors": form.errors}, status=400)
        # Read again, because a form writes what was typed into its instance even if it is refused.
        return render_edit_page(request, get_editable_listing_or_403(request, listing_id), form)
    status = request.POST.get("status", "")
    changes = form.cleaned_data | ({"status": status} if status in SAID else {})
    _update_listing_or_404(request, listing, changes)
    now = f" {SAID[Status(listing.status)].format(title=listing.title)}" if "status" in changes else ""
    messages.success(request, f"Your changes are saved.{now}")
    return go_on_editing(request, listing)


def render_edit_page(request: HttpRequest, listing: Listing, form: ListingForm, status: int = 200) -> HttpResponse:
    context = {
        "listing": listing,
        "form": form,
        "photos": [(image, LABELS[Photo(image.state)]) for image in listing.photos],
        "waiting": any(image.state == Photo.NEW for image in listing.photos),
        "room": room_for_photos(listing.pk),
        "photo_types": PHOTO_TYPES,
    }
    return render(request, "listings/my_listing.html", context, status=status)


@require_POST
@sign_in_required
def set_listing_status(request: HttpRequest, listing_id: int) -> HttpResponse:
    listing = get_editable_listing_or_403(request, listing_id)
    status = request.POST.get("status", "")
    if status not in SAID:
        messages.error(request, f"A listing can be active, sold or a draft, not “{status}”.")
        return redirect("my-listing", listing.pk)
    _update_listing_or_404(request, listing, {"status": status})
    messages.success(request, SAID[Status(status)].format(title=listing.title))
    return redirect("my-listings")


@require_http_methods(["GET", "HEAD", "POST"])
@sign_in_required
def remove_listing(request: HttpRequest, listing_id: int) -> HttpResponse:
    listing = get_editable_listing_or_403(request, listing_id)
    if request.method != "POST":
        return render(request, "listings/remove_listing.html", {"listing": listing})
    mark_listing_removed(listing)
    messages.success(request, f"“{listing.title}” is removed.")
    return redirect("my-listings")


def _update_listing_or_404(request: HttpRequest, listing: Listing, changes: dict) -> None:
    try:
        update_listing(listing, request.user, changes)
    except ListingGone as exc:
        raise Http404("This listing was removed.") from exc
