"""`Idempotency-Key` of a request, and the refusals that it may bring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request

from listings.services import ListingGone

from .sent_again import HEADER, BadKey, KeyReused, RequestKey


class RequestKeyReused(APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "key_reused"
    default_detail = (
        f"This {HEADER} came with another request before. Make a new key for each thing that is to be made."
    )


class AlreadyGone(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "already_gone"
    default_detail = f"What the request with this {HEADER} made was removed since. Send a new key to make another."


def read_request_key(request: Request, action: str, content: object) -> RequestKey:
    try:
        return RequestKey.from_header(request.headers[HEADER], request.user.pk, action, content)
    except BadKey as exc:
        raise ValidationError({HEADER: [str(exc)]}) from exc


@contextmanager
def refuse_used_key() -> Iterator[None]:
    try:
        yield
    except KeyReused as exc:
        raise RequestKeyReused from exc
    except ListingGone as exc:
        raise AlreadyGone from exc
