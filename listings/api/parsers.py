from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.utils import json as strict_json


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request is too large."
    default_code = "too_large"


class BoundedJSONParser(BaseParser):
    """UTF-8 whatever the header says, no longer than form data may be, no deeper than Python can read."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping | None = None) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)  # One byte more tells a body of exactly the limit from one that goes on.
        if len(body) > limit:
            raise BodyTooLarge(f"A JSON body holds at most {limit // 1024} kB.")
        try:
            data = json.loads(body.decode(), parse_constant=strict_json.strict_constant)
            # An escape can make half of a surrogate pair, which is valid JSON, but cannot be stored or sent back.
            if b"\\u" in body:
                json.dumps(data, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as exc:
            raise ParseError(f"This is not JSON: {exc}") from exc
        return data
