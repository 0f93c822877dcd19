"""Refusals that Django and the database raise, as answers a caller can act on."""

from __future__ import annotations

import sys

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import status
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

DATABASE_DOWN = "The database does not answer. Try again in a moment."
MALFORMED = "This request is malformed."
RETRY_SECONDS = "5"


def handle_api_exception(exc: Exception, context: dict[str, object]) -> Response | None:
    """DRF's answers, and JSON for what DRF leaves to Django."""
    if _is_database_outage(exc):
        set_rollback()
        return Response(
            {"detail": DATABASE_DOWN}, status.HTTP_503_SERVICE_UNAVAILABLE, headers={"Retry-After": RETRY_SECONDS}
        )
    if isinstance(exc, RequestDataTooBig):
        return Response({"detail": "The request is too large."}, status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)
    if isinstance(exc, SuspiciousOperation):
        return Response({"detail": MALFORMED}, status.HTTP_400_BAD_REQUEST)
    return exception_handler(exc, context)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The site's `handler400`."""
    if is_api_request(request):
        return JsonResponse({"detail": MALFORMED}, status=400)
    return defaults.bad_request(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The site's `handler404`."""
    if is_api_request(request):
        return JsonResponse({"detail": "There is nothing at this address."}, status=404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """The site's `handler500`: an outage of the database is no bug of ours, and says so on every path."""
    if _is_database_outage(sys.exception()):
        outage = JsonResponse({"detail": DATABASE_DOWN}, status=503)
        outage["Retry-After"] = RETRY_SECONDS
        return outage
    if is_api_request(request):
        return JsonResponse({"detail": "Something went wrong here. It was logged."}, status=500)
    return defaults.server_error(request)


def refuse_request(request: HttpRequest, status_code: int, code: str, sentence: str) -> HttpResponse:
    """A refusal of what no browser sends by itself, so a page for people would help nobody."""
    if is_api_request(request):
        return JsonResponse({"detail": sentence, "code": code}, status=status_code)
    return HttpResponse(sentence, status=status_code, content_type="text/plain; charset=utf-8")


def is_api_request(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _is_database_outage(exc: BaseException | None) -> bool:
    # A connection that was closed meanwhile raises InterfaceError, other troubles of the server OperationalError.
    return isinstance(exc, OperationalError | InterfaceError)
