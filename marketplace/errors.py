"""Refusals of every kind as answers a caller can act on: over REST `{"detail": sentence, "code": word}`, with
`"fields": {name: [sentences]}` where some are wrong."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views import defaults
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler, set_rollback

from .observing.outages import Outage, find_outage

logger = logging.getLogger(__name__)

MALFORMED = {"detail": "This request is malformed.", "code": "malformed"}
TOO_LARGE = {"detail": "The request is too large.", "code": "too_large"}
RETRY_SECONDS = "5"
GENERAL = "non_field_errors"
# Until then answers about wrong fields have them at the top as well, where they were before `fields`.
OLD_FIELDS_GO = {
    "Deprecation": "@1796083200",
    "Sunset": "Thu, 01 Jul 2027 00:00:00 GMT",
    "Link": '</api/docs/>; rel="deprecation"',
}


def handle_api_exception(exc: Exception, context: dict[str, APIView]) -> Response | None:
    """DRF's answers in the shape of ours, and JSON for what DRF leaves to Django."""
    if outage := log_outage(exc):
        set_rollback()
        refusal = {"detail": outage.sentence, "code": outage.code}
        return Response(refusal, outage.status, headers={"Retry-After": RETRY_SECONDS})
    if isinstance(exc, RequestDataTooBig):
        return Response(TOO_LARGE, status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)
    if isinstance(exc, SuspiciousOperation):
        return Response(MALFORMED, status.HTTP_400_BAD_REQUEST)
    response = exception_handler(exc, context)
    if response is not None:
        response.data, headers = describe_error(response.data, explain_mismatch(exc, context["view"]))
        for name, value in headers.items():
            response[name] = value
        # Also where answers are none, as those of the API page and its schema.
        request = context["view"].request
        request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
    return response


def describe_error(said: object, sentence: str | None = None) -> tuple[dict[str, object], dict[str, str]]:
    """What DRF says about an error, in our shape, and the headers that go with it; `sentence` says it better."""
    if not isinstance(said, Mapping):
        said = {GENERAL: said}
    # A list there is about a field that a caller made up, and that has this name.
    if not isinstance(said.get("detail", []), list):
        return {"detail": sentence or said["detail"], "code": said.get("code") or _code_of(said["detail"])}, {}
    fields = {str(name): list(_sentences_of(value)) for name, value in said.items() if name != GENERAL}
    parts = [*_sentences_of(said.get(GENERAL, ())), *(f"{name}: {' '.join(fields[name])}" for name in fields)]
    answer: dict[str, object] = {"detail": " ".join(parts), "code": "invalid"}
    return ({**said, **answer, "fields": fields}, OLD_FIELDS_GO) if fields else (answer, {})


def explain_mismatch(exc: Exception, view: APIView) -> str | None:
    """A sentence that names what would be right, where DRF only names what is wrong."""
    if isinstance(exc, exceptions.MethodNotAllowed):
        return f"{view.request.method} is not possible here. This address takes {', '.join(view.allowed_methods)}."
    if isinstance(exc, exceptions.UnsupportedMediaType):
        taken = " or ".join(parser.media_type for parser in view.parser_classes if parser.media_type)
        return f"Send the body as {taken}, and name that in Content-Type."
    if isinstance(exc, exceptions.NotAcceptable):
        given = " or ".join(dict.fromkeys(renderer.media_type for renderer in view.renderer_classes))
        return f"Answers are {given}, which the Accept header leaves out."
    return None


def _code_of(said: object) -> str:
    return getattr(said, "code", None) or "invalid"


def _sentences_of(said: object) -> Iterator[str]:
    """The sentences in what DRF says, however deep it nests them."""
    if isinstance(said, str):
        yield str(said)
    elif isinstance(said, Mapping):
        for value in said.values():
            yield from _sentences_of(value)
    elif isinstance(said, list | tuple):
        for value in said:
            yield from _sentences_of(value)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The site's `handler400`."""
    if is_api_request(request):
        return JsonResponse(MALFORMED, status=400)
    return defaults.bad_request(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The site's `handler404`."""
    if is_api_request(request):
        return refuse_request(request, 404, "not_found", "There is nothing at this address.")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """The site's `handler500`: what is away or full is no bug of ours, and says so on every path."""
    if outage := find_outage(sys.exception()):
        return answer_outage(request, outage)
    if is_api_request(request):
        return refuse_request(request, 500, "server_error", "Something went wrong here. It was logged.")
    return defaults.server_error(request)


def log_outage(exc: BaseException) -> Outage | None:
    """The outage that this exception tells of, if any; the log has a line of it, whoever meets it next."""
    if outage := find_outage(exc):
        logger.error(outage.sentence, exc_info=exc)
    return outage


def answer_outage(request: HttpRequest, outage: Outage) -> HttpResponse:
    if is_api_request(request):
        response = refuse_request(request, outage.status, outage.code, outage.sentence)
    else:
        # Rendered without the request, because its context would ask the database who is signed in.
        page = render_to_string("503.html", {"sentence": outage.sentence})
        response = HttpResponse(page, status=outage.status)
    response["Retry-After"] = RETRY_SECONDS
    return response


def refuse_request(
    request: HttpRequest, status_code: int, code: str, sentence: str, **more: Mapping[str, list[str]]
) -> HttpResponse:
    """A refusal of what no browser sends by itself, so a page for people would help nobody."""
    if is_api_request(request):
        return JsonResponse({"detail": sentence, "code": code, **more}, status=status_code)
    return HttpResponse(sentence, status=status_code, content_type="text/plain; charset=utf-8")


def is_api_request(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
