"""Numbers with their nouns, for people."""

from __future__ import annotations


def describe_count(count: int, one: str, many: str = "") -> str:
    """Such as `1 row` and `2,000 rows`; `many` where an s does not make it."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
