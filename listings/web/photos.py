"""A seller's photos: add, delete, and watch what becomes of each."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from listings.limits.rates import explain_wait, mark_too_often, throttle_request
from listings.models import ListingImage
from listings.permissions import MayDeletePhotos, may_change, may_delete_photos

from .access import get_editable_listing_or_403, get_visible_listing_or_404, sign_in_required
from .uploading import accept_photo_uploads, store_usable_photos

LABELS = {
    ListingImage.State.NEW: "Being prepared",
    ListingImage.State.READY: "Ready",
    ListingImage.State.REJECTED: "Not usable",
}


@require_POST
@sign_in_required
@accept_photo_uploads
def add_photos(request: HttpRequest, listing_id: int) -> HttpResponse:
    """For the script of the pages, which sends one photo at a time; without it photos come with the whole form."""
    listing = get_editable_listing_or_403(request, listing_id)
    if seconds := throttle_request(request, "upload"):
        return mark_too_often(JsonResponse({"detail": explain_wait(seconds)}), seconds)
    _, refusals = store_usable_photos(listing, request.FILES.getlist("photos"))
    return JsonResponse({"refusals": [{"name": refusal.name, "reason": refusal.reason} for refusal in refusals]})


@require_http_methods(["GET", "HEAD", "POST"])
@sign_in_required
def delete_photo(request: HttpRequest, listing_id: int, image_id: int) -> HttpResponse:
    listing = get_visible_listing_or_404(request, listing_id)
    if not may_delete_photos(request.user, listing):
        raise PermissionDenied(MayDeletePhotos.message)
    image = get_object_or_404(listing.images, pk=image_id)
    if request.method != "POST":
        return render(request, "listings/delete_photo.html", {"listing": listing, "photo": image})
    image.delete()
    messages.success(request, "The photo is deleted.")
    return redirect("my-listing" if may_change(request.user, listing) else "listing", listing.pk)


@require_safe
@never_cache
@sign_in_required
def photo_states(request: HttpRequest, listing_id: int) -> JsonResponse:
    images = get_editable_listing_or_403(request, listing_id).photos
    settled = all(image.state != ListingImage.State.NEW for image in images)
    return JsonResponse({"settled": settled, "photos": [_describe_state(image) for image in images]})


def _describe_state(image: ListingImage) -> dict[str, object]:
    return {
        "id": image.pk,
        "state": image.state,
        "label": LABELS[ListingImage.State(image.state)],
        "reason": image.reason,
        "thumb": image.thumb_file.url if image.thumb_file else None,
    }
