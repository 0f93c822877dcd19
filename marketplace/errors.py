"""Refusals that Django and the database raise, as answers a caller can act on."""

from __future__ import annotations

import sys
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.defaults import server_error as default_server_error
from rest_framework import status
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

DATABASE_DOWN = "The database does not answer. Try again in a moment."
RETRY_SECONDS = "5"


def api_error(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's answers, and JSON for what DRF leaves to Django."""
    if _is_outage(exc):
        set_rollback()
        return Response(
            {"detail": DATABASE_DOWN}, status.HTTP_503_SERVICE_UNAVAILABLE, headers={"Retry-After": RETRY_SECONDS}
        )
    if isinstance(exc, RequestDataTooBig):
        return Response({"detail": "The request is too large."}, status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)
    if isinstance(exc, SuspiciousOperation):
        return Response({"detail": "This request is malformed."}, status.HTTP_400_BAD_REQUEST)
    return exception_handler(exc, context)


def server_error(request: HttpRequest) -> HttpResponse:
    """The site's `handler500`: an outage of the database is no bug of ours, and says so on every path."""
    if _is_outage(sys.exception()):
        outage = JsonResponse({"detail": DATABASE_DOWN}, status=503)
        outage["Retry-After"] = RETRY_SECONDS
        return outage
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": "Something went wrong here. It was logged."}, status=500)
    return default_server_error(request)


def _is_outage(exc: BaseException | None) -> bool:
    return isinstance(exc, OperationalError | InterfaceError)
