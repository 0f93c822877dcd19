"""Which listing a person may look at or change; the answers to the others are 404 and 403."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from listings.models import Listing


class SignedInRequest(HttpRequest):
    """What `login_required` lets through."""

    user: User


def get_visible_listing_or_404(request: HttpRequest, listing_id: int) -> Listing:
    return get_object_or_404(Listing.objects.visible_to(request.user).with_details(), pk=listing_id)


def get_editable_listing_or_403(request: HttpRequest, listing_id: int) -> Listing:
    # Whether the listing may be seen comes first: a 403 would tell strangers that a draft of this number exists.
    listing = get_visible_listing_or_404(request, listing_id)
    if not (request.user.is_staff or listing.seller_id == request.user.pk):
        raise PermissionDenied("This listing belongs to somebody else. Only its seller can change it.")
    return listing
