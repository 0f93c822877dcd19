"""What a seller does with listings that exist: edit, mark sold or active, remove."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from listings.models import Listing, ListingImage
from listings.services import ListingGone, mark_listing_removed, room_for_photos, update_listing

from .access import SignedInRequest, get_editable_listing_or_403
from .forms import PHOTO_TYPES, ListingForm
from .pages import NoSuchPage, paginate_listings
from .photos import LABELS

Status, Photo = Listing.Status, ListingImage.State

SAID = {
    Status.ACTIVE: "“{title}” is on sale.",
    Status.SOLD: "“{title}” is marked as sold.",
    Status.DRAFT: "“{title}” is a draft: only you can see it.",
}


@require_safe
@login_required
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
@login_required
def edit_listing(request: HttpRequest, listing_id: int) -> HttpResponse:
    listing = get_editable_listing_or_403(request, listing_id)
    # Kept for the heading, because a form writes what was typed into the instance even if it is refused.
    title = listing.title
    form = ListingForm(request.POST or None, instance=listing)
    if form.is_valid():
        _update_listing_or_404(request, listing, form.cleaned_data)
        messages.success(request, "Your changes are saved.")
        return redirect("my-listing", listing.pk)
    context = {
        "listing": listing,
        "title": title,
        "form": form,
        "photos": [(image, LABELS[Photo(image.state)]) for image in listing.photos],
        "waiting": any(image.state == Photo.NEW for image in listing.photos),
        "room": room_for_photos(listing.pk),
        "photo_types": PHOTO_TYPES,
    }
    return render(request, "listings/my_listing.html", context)


@require_POST
@login_required
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
@login_required
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
