"""What happens around every request: the policy for its page, and the account in its line of the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

GetResponse: TypeAlias = Callable[[HttpRequest], HttpResponse]

# Nothing comes from elsewhere and nothing is inline; `blob:` is for previews of photos that somebody has just chosen.
PAGES = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)

FIRST_ERROR_STATUS = 400


def add_content_security_policy(get_response: GetResponse) -> GetResponse:
    """Load nothing from elsewhere, run nothing inline; a view that sets its own policy keeps it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", PAGES)
        return response

    return middleware


def allow_inline_error_pages(get_response: GetResponse) -> GetResponse:
    """For `make dev` alone: Django's error pages of DEBUG carry their styles and scripts with them."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.status_code >= FIRST_ERROR_STATUS:
            inline = "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
            response.headers.setdefault("Content-Security-Policy", f"{PAGES}; {inline}")
        return response

    return middleware


def bind_user_id(request: HttpRequest, log_kwargs: dict[str, object], **kwargs: object) -> None:
    """Add the id of the account to the request's line, where something has loaded the account already."""
    # Loading the account for the log alone would cost two queries in every request.
    user = request.__dict__.get("_cached_user") or request.__dict__.get("user")
    if user is not None and not isinstance(user, SimpleLazyObject) and user.pk:
        log_kwargs["user_id"] = user.pk
