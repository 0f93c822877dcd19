from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.utils import json as strict_json

# No call takes more than a few levels. Python's own limit depends on who walks a value and from where: what was read
# just below it could not be hashed, or named in a refusal, later.
MOST_LEVELS = 64


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request is too large."
    default_code = "too_large"


class BoundedJSONParser(BaseParser):
    """UTF-8 whatever the header says, no longer than form data may be, no deeper than whoever walks it can go."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping | None = None) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)  # One byte more tells a body of exactly the limit from one that goes on.
        if len(body) > limit:
            raise BodyTooLarge(f"A JSON body holds at most {limit // 1024} kB.")
        try:
            data = json.loads(body.decode(), parse_constant=strict_json.strict_constant)
            _refuse_deep_nesting(data)
            # An escape can make half of a surrogate pair, which is valid JSON, but cannot be stored or sent back.
            if b"\\u" in body:
                json.dumps(data, ensure_ascii=False).encode()
        except RecursionError as exc:
            raise ParseError(f"This JSON is nested too deeply: at most {MOST_LEVELS} levels are read.") from exc
        except ValueError as exc:
            raise ParseError(f"This is not JSON: {exc}") from exc
        return data


def _refuse_deep_nesting(data: object) -> None:
    """Raise RecursionError, as Python does where it is nested deeper still."""
    level = [data]
    for _ in range(MOST_LEVELS):
        containers = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [value for values in containers for value in values]
    if any(isinstance(one, dict | list) for one in level):
        raise RecursionError
