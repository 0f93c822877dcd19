"""What happens around every request: its id, its body and its address; the policy and the size of its answer."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypeAlias

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.gzip import GZipMiddleware
from django.urls import is_valid_path
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject

from .errors import answer_outage, log_outage, refuse_request
from .observing.outages import find_outage

if TYPE_CHECKING:
    from rest_framework.views import APIView

GetResponse: TypeAlias = Callable[[HttpRequest], HttpResponse]

# A caller's own id is taken over only if it can break neither a line of the log nor a header.
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Nothing comes from elsewhere and nothing is inline; `blob:` is for previews of photos that somebody has just chosen.
PAGES = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)

FIRST_ERROR_STATUS = 400

# Parameters of the admin that people type, of which anything may be searched for.
TYPED = {"q", "term"}
ID = re.compile(r"[0-9]{1,18}")
# Two patterns, because one for both would look again from each digit on.
NUMBERS = re.compile(r"[-\d,]+")
LONG_NUMBER = re.compile(r"\d{19}")
# How lists of the admin compare in the links that they show.
COMPARED = {"exact", "isnull", "gte", "lt"}


def answer_with_request_id(get_response: GetResponse) -> GetResponse:
    """The id under which the log knows a request stands in its answer: the caller's own, or a new one."""

    def middleware(request: HttpRequest) -> HttpResponse:
        sent = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = sent if REQUEST_ID.fullmatch(sent) else str(uuid.uuid4())
        # django-structlog reads the id from this header.
        request.META["HTTP_X_REQUEST_ID"] = request_id
        response = get_response(request)
        response["X-Request-ID"] = request_id
        return response

    return middleware


def refuse_unreadable_body(get_response: GetResponse) -> GetResponse:
    """Refuse a body that Django would take for other bytes than were meant. One in chunks has its length by now."""

    def middleware(request: HttpRequest) -> HttpResponse:
        length = str(request.META.get("CONTENT_LENGTH") or "")
        if length and not (length.isascii() and length.isdigit()):
            return refuse_request(request, 400, "malformed", "Content-Length is the number of bytes of the body.")
        coding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        if coding not in {"", "identity"} and length.strip("0"):
            sentence = "Send the body as it is, without Content-Encoding: a compressed one is not read here."
            return refuse_request(request, 415, "unsupported_encoding", sentence)
        return get_response(request)

    return middleware


class AddMissingSlash(CommonMiddleware):
    """An address without its last slash leads where it leads with it. Browsers are redirected, so that they show the
    right address; a request that sends something would lose it on the way, so it is answered at once."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        if request.method not in {"GET", "HEAD"} and not request.path_info.endswith("/"):
            match = is_valid_path(f"{request.path_info}/")
            # The admin's answer to addresses that do not exist takes any address, and says that it wants no slash.
            if match and getattr(match.func, "should_append_slash", True):
                request.path_info += "/"
                request.path += "/"
        return super().process_request(request)


class RefuseUnknownNames:
    """Refuse parameters and credentials that a call of the API does not know: passed over, a slip of the pen would be
    answered with everything, and a stranger's token as to a visitor. A call names what it takes in `query_parameters`,
    by method."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> HttpResponse | None:
        call = getattr(view, "cls", None)
        taken = getattr(call, "query_parameters", None)
        if call is None or taken is None:
            return None
        method = "GET" if request.method == "HEAD" else request.method or ""
        # A method that the address does not take is told as such, whatever its parameters are.
        is_taken = method.lower() in (getattr(view, "actions", None) or {}) or hasattr(call, method.lower())
        refusal = _refuse_scheme(request, call)
        return refusal or (_refuse_parameters(request, taken.get(method, ())) if is_taken else None)


def _refuse_scheme(request: HttpRequest, call: type[APIView]) -> HttpResponse | None:
    scheme, _, _ = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    if not scheme or scheme.lower() == "token" or not call.authentication_classes:
        return None
    sentence = "The Authorization header is read as `Token …` only. POST your name and password to token/ to get one."
    refusal = refuse_request(request, 401, "unknown_scheme", sentence)
    refusal["WWW-Authenticate"] = "Token"
    return refusal


def _refuse_parameters(request: HttpRequest, names: Collection[str]) -> HttpResponse | None:
    unknown = [name for name in request.GET if name not in names]
    if not unknown:
        return None
    takes = f"This call takes: {', '.join(names)}." if names else "This call takes no parameters in its address."
    said = {name[:80]: [f"There is no parameter '{name[:80]}'. {takes}"] for name in unknown}
    return refuse_request(request, 400, "unknown_parameter", said[unknown[0][:80]][0], fields=said)


class RefuseMadeUpIds:
    """Refuse addresses and selections of the admin that no page of it leads to: Django hands NUL, numbers that no
    column holds, ids that are no numbers and any comparison of any column (`id__range=1`, `title__regex=[`) on to the
    database, whose error would be a 500."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: dict[str, object]) -> None:
        match = request.resolver_match
        if match is None or match.app_name != "admin":
            return
        parameters = [(name, value) for name, values in request.GET.lists() for value in values]
        texts = [*map(str, kwargs.values()), *(text for pair in parameters for text in pair)]
        # Only lists have a selection; to read other forms here would be too early for those that take photos.
        selected = request.POST.getlist("_selected_action") if str(match.url_name).endswith("_changelist") else []
        is_too_long = any(_has_long_number(value) for name, value in parameters if name not in TYPED)
        is_compared_otherwise = any("__" in name and name.rpartition("__")[2] not in COMPARED for name, _ in parameters)
        if is_too_long or is_compared_otherwise or any("\0" in text for text in texts):
            raise SuspiciousOperation("No page of the admin leads to this address.")
        if not all(ID.fullmatch(text) for text in selected):
            raise SuspiciousOperation("What is selected is no id.")

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """What was sent with a form, which has been read by now, no form of the admin offers either."""
        match = request.resolver_match
        if match is None or match.app_name != "admin":
            return
        holds_nul = any("\0" in text for _, texts in request.POST.lists() for text in texts)
        if holds_nul or isinstance(exception, OverflowError | DataError):
            raise SuspiciousOperation("No form of the admin offers this.") from exception


def _has_long_number(value: str) -> bool:
    return NUMBERS.fullmatch(value) is not None and LONG_NUMBER.search(value) is not None


class AnswerOutages:
    """What a view raises because something is away or full is answered here, before it would be logged as a bug."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        outage = log_outage(exception)
        return answer_outage(request, outage) if outage else None


class CompressText(GZipMiddleware):
    """Compress pages and JSON. What is streamed is a photo, which would only grow."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response if response.streaming else super().process_response(request, response)


def add_content_security_policy(get_response: GetResponse) -> GetResponse:
    """Load nothing from elsewhere, run nothing inline; a view that sets its own policy keeps it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", PAGES)
        return response

    return middleware


def keep_personal_answers_private(get_response: GetResponse) -> GetResponse:
    """Let no cache on the way keep an answer to somebody who is known, and no cache take one person's for another's.

    A view that says itself how long its answer may be kept is left alone.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if "public" in response.get("Cache-Control", ""):
            return response
        patch_vary_headers(response, ("Cookie", "Authorization"))
        if _is_personal(request, response):
            response.headers.setdefault("Cache-Control", "private")
        return response

    return middleware


def _is_personal(request: HttpRequest, response: HttpResponse) -> bool:
    """Refusals too: what is hidden from this person may be shown to the next."""
    is_known = settings.SESSION_COOKIE_NAME in request.COOKIES or "Authorization" in request.headers
    return is_known or bool(response.cookies) or response.status_code >= FIRST_ERROR_STATUS


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


def log_answered_code(exception: Exception, log_kwargs: dict[str, object], **kwargs: object) -> None:
    """What a middleware raised is logged before it is answered: under the code it will be answered with."""
    if outage := find_outage(exception):
        log_kwargs["code"] = outage.status
