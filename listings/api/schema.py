"""What every endpoint's OpenAPI entry says about refusals."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from .serializers import ErrorSerializer


def _describe_error(description: str, detail: str) -> OpenApiResponse:
    return OpenApiResponse(
        ErrorSerializer, description, examples=[OpenApiExample(description, value={"detail": detail})]
    )


BAD_INPUT = OpenApiResponse(
    OpenApiTypes.OBJECT,
    "Bad input: messages by field, or `detail`",
    examples=[OpenApiExample("A wrong field", value={"price": ["A valid number is required."]})],
)
UNAUTHENTICATED = _describe_error("No valid token or session", "Authentication credentials were not provided.")
FORBIDDEN = _describe_error("Somebody else's listing", "Only the seller of this listing and staff may change it.")
NOT_FOUND = _describe_error("No such listing, or not yours to see", "No Listing matches the given query.")
TOO_LARGE = _describe_error("A file or the request is too large", "The photo is larger than 40 MB.")
NOT_A_PHOTO = _describe_error("Not a photo", "This file is not an image.")
THROTTLED = _describe_error(
    "Too many requests; `Retry-After` says when to come back",
    "Request was throttled. Expected available in 17 seconds.",
)
UNAVAILABLE = _describe_error("The database does not answer", "The database does not answer. Try again in a moment.")

READ = {400: BAD_INPUT, 429: THROTTLED, 503: UNAVAILABLE}
WRITE = {400: BAD_INPUT, 401: UNAUTHENTICATED, 403: FORBIDDEN, 404: NOT_FOUND, 429: THROTTLED, 503: UNAVAILABLE}
