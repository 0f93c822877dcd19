"""Answers as short words, so that equal ones can be counted."""

from __future__ import annotations

import json
from contextlib import suppress

from tests.servers.visitor import Answer


def describe_answer(answer: Answer) -> str:
    """Status and code, such as "503 database_unavailable"; of pages only the status."""
    return f"{answer.status} {read_code(answer.body)}".strip()


def read_code(body: bytes) -> str:
    """The code for programs of a JSON answer, or the sentence where it has none; empty for pages."""
    with suppress(ValueError, AttributeError):
        answer = json.loads(body)
        return str(answer.get("code") or answer.get("detail") or answer)[:80]
    return ""
