"""Errors of the code behind the API as answers: a sentence, a code for programs, and when to try again."""

from __future__ import annotations

from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from listings.api.photos import refusal_status
from ml.images import PartRefused, PhotoRefused
from recommender.errors import ModelNotReady
from recommender.index import IndexNotReady
from recommender.search.photo_query import Busy
from recommender.search.retrieval import NoPhoto, PhotoWaiting

# The last value is after how many seconds it helps to try again; None where waiting does not help.
CONDITIONS: dict[type[Exception], tuple[int, str, int | None]] = {
    NoPhoto: (status.HTTP_409_CONFLICT, "no_photo", None),
    PhotoWaiting: (status.HTTP_409_CONFLICT, "photo_waiting", 1),
    IndexNotReady: (status.HTTP_503_SERVICE_UNAVAILABLE, "index_not_ready", 5),
    ModelNotReady: (status.HTTP_503_SERVICE_UNAVAILABLE, "model_not_ready", 10),
    Busy: (status.HTTP_503_SERVICE_UNAVAILABLE, "busy", 1),
}


class ApiRefusal(APIException):
    """An answer `{"detail", "code"}`; `wait` in seconds becomes `Retry-After`."""

    def __init__(self, status_code: int, detail: str, code: str, wait: int | None = None) -> None:
        super().__init__({"detail": detail, "code": code})
        self.status_code = status_code
        self.wait = wait


def translate_error(exc: Exception) -> Exception:
    """The answer that stands for an error of ours; any other exception as it is."""
    if isinstance(exc, PhotoRefused):
        return ApiRefusal(refusal_status(exc.code), exc.reason, exc.code)
    if isinstance(exc, PartRefused):
        return ValidationError({"crop": [str(exc)]})
    for condition, (status_code, code, wait) in CONDITIONS.items():
        if isinstance(exc, condition):
            return ApiRefusal(status_code, str(exc), code, wait)
    return exc


class CoreView(APIView):
    """A view that need not catch the errors of `CONDITIONS` and refused photos: they become answers."""

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(translate_error(exc))
