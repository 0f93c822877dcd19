"""Which listing a person may look at or change; the answers to the others are 404 and 403."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from listings.models import Listing
from listings.permissions import may_change

View = Callable[..., HttpResponse]

SIGNED_OUT = (
    "You were signed out, so nothing was saved. Press Back to copy what you typed, or sign in and send it again."
)


class SignedInRequest(HttpRequest):
    """What `sign_in_required` lets through."""

    user: User


def wants_json(request: HttpRequest) -> bool:
    """Whether a page's script asks, which shows what went wrong itself."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def sign_in_required(view: View) -> View:
    """Let people sign in first; those who sent a form are told that it was not saved."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if request.method != "POST":
            return redirect_to_login(request.get_full_path())
        if not wants_json(request):
            messages.warning(request, SIGNED_OUT)
        # Some addresses take nothing but forms; to open them after signing in would be an error.
        page = reverse("my-listing", args=[kwargs["listing_id"]]) if "listing_id" in kwargs else request.path
        return redirect_to_login(page)

    return wrapper


def get_visible_listing_or_404(request: HttpRequest, listing_id: int) -> Listing:
    return get_object_or_404(Listing.objects.visible_to(request.user).with_details(), pk=listing_id)


def get_editable_listing_or_403(request: HttpRequest, listing_id: int) -> Listing:
    # Whether the listing may be seen comes first: a 403 would tell strangers that a draft of this number exists.
    listing = get_visible_listing_or_404(request, listing_id)
    if not may_change(request.user, listing):
        raise PermissionDenied("This listing belongs to somebody else. Only its seller can change it.")
    return listing
