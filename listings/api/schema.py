"""What every endpoint's OpenAPI entry says about refusals."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from listings.permissions import MayChangeListing

from .serializers import ErrorSerializer


def _describe_error(description: str, detail: str, code: str) -> OpenApiResponse:
    example = OpenApiExample(description, value={"detail": detail, "code": code})
    return OpenApiResponse(ErrorSerializer, description, examples=[example])


WRONG_PRICE = "Write the price as a number, such as 12.50."
SENTENCES = {"type": "array", "items": {"type": "string"}}
BAD_INPUT = OpenApiResponse(
    {
        "type": "object",
        "required": ["detail", "code"],
        "properties": {
            "detail": {"type": "string", "description": "A sentence for a person: what is wrong, and what to do."},
            "code": {"type": "string", "description": "A word for programs."},
            "fields": {
                "type": "object",
                "additionalProperties": SENTENCES,
                "description": "Where parameters or fields are wrong: the sentences about each.",
            },
        },
        "additionalProperties": SENTENCES
        | {"deprecated": True, "description": "The entries of `fields` once more, as before; read `fields`."},
    },
    "Bad input, an unknown parameter or field among it",
    examples=[
        OpenApiExample(
            "A wrong field",
            value={
                "price": [WRONG_PRICE],
                "detail": f"price: {WRONG_PRICE}",
                "code": "invalid",
                "fields": {"price": [WRONG_PRICE]},
            },
        )
    ],
)
UNAUTHENTICATED = _describe_error(
    "No valid token or session", "Authentication credentials were not provided.", "not_authenticated"
)
FORBIDDEN = _describe_error("Somebody else's listing", MayChangeListing.message, "permission_denied")
NOT_FOUND = _describe_error("No such listing, or not yours to see", "No Listing matches the given query.", "not_found")
TOO_LARGE = _describe_error("A file or the request is too large", "The photo is larger than 40 MB.", "too_large")
NOT_A_PHOTO = _describe_error("Not a photo", "The file is not a photo.", "not_an_image")
THROTTLED = _describe_error(
    "Too many requests; `Retry-After` says when to come back",
    "Request was throttled. Expected available in 17 seconds.",
    "throttled",
)
UNAVAILABLE = _describe_error(
    "The database does not answer", "The database does not answer. Try again in a moment.", "database_unavailable"
)
FULL = _describe_error(
    "A disk of the site is full, and nothing was saved",
    "The disk for photos is full, so the photo was not kept. Try again later.",
    "storage_full",
)
ALREADY_GONE = _describe_error(
    "What a request with this `Idempotency-Key` made is gone",
    "What the request … made was removed since.",
    "already_gone",
)
KEY_REUSED = _describe_error(
    "The `Idempotency-Key` came with another request", "This Idempotency-Key came with another request.", "key_reused"
)
REQUEST_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="A new one for each thing to be made, such as a UUID. The same request with the same key, within a "
    "week, makes nothing again and answers 200 with what the first one made.",
)

READ = {400: BAD_INPUT, 401: UNAUTHENTICATED, 429: THROTTLED, 503: UNAVAILABLE}
WRITE = {
    400: BAD_INPUT,
    401: UNAUTHENTICATED,
    403: FORBIDDEN,
    404: NOT_FOUND,
    429: THROTTLED,
    503: UNAVAILABLE,
    507: FULL,
}
