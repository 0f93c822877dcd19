"""A seller's photos: add, delete, and watch what becomes of each."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from listings.models import ListingImage

from .access import get_editable_listing_or_403
from .uploading import accept_photo_uploads, report_refusals, store_usable_photos, wants_json

LABELS = {
    ListingImage.State.NEW: "Being prepared",
    ListingImage.State.READY: "Ready",
    ListingImage.State.REJECTED: "Not usable",
}


@require_POST
@login_required
@accept_photo_uploads
def add_photos(request: HttpRequest, listing_id: int) -> HttpResponse:
    listing = get_editable_listing_or_403(request, listing_id)
    files = request.FILES.getlist("photos")
    refusals = store_usable_photos(listing, files)
    if wants_json(request):
        return JsonResponse({"refusals": [{"name": refusal.name, "reason": refusal.reason} for refusal in refusals]})
    if not files:
        messages.error(request, "Choose at least one photo first.")
    report_refusals(request, refusals)
    return redirect("my-listing", listing.pk)


@require_POST
@login_required
def delete_photo(request: HttpRequest, listing_id: int, image_id: int) -> HttpResponse:
    listing = get_editable_listing_or_403(request, listing_id)
    get_object_or_404(listing.images, pk=image_id).delete()
    messages.success(request, "The photo is deleted.")
    return redirect("my-listing", listing.pk)


@require_safe
@never_cache
@login_required
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
