"""What the description of the API says beside what its calls say themselves."""

from __future__ import annotations

from typing import Any

from drf_spectacular.generators import SchemaGenerator

# What may be answered before a call is looked at: to every call, and to those that send something.
EARLY = {414: "The address is too long: `address_too_long`", 431: "The headers are too large: `headers_too_large`"}
EARLY_WITH_BODY = {
    408: "The request came too slowly: `request_timeout`",
    413: "What is sent is too large: `too_large`",
    415: "What is sent is of another kind: `unsupported_media_type`",
}


class DescriptionGenerator(SchemaGenerator):
    """Adds what may be answered before a call is looked at to the answers of each, but where it says more itself."""

    def get_schema(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        description: dict[str, Any] = super().get_schema(*args, **kwargs)  # type: ignore[no-untyped-call]
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        for calls in description["paths"].values():
            for call in calls.values():
                refusals = EARLY | (EARLY_WITH_BODY if "requestBody" in call else {})
                for code, sentence in refusals.items():
                    call["responses"].setdefault(str(code), {"description": sentence, "content": content})
        return description
