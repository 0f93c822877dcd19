"""Numbers with their nouns, and pieces of files, for people."""

from __future__ import annotations


def describe_count(count: int, one: str, many: str = "") -> str:
    """Such as `1 row` and `2,000 rows`; `many` where an s does not make it."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def show_text(text: str, limit: int = 200) -> str:
    """A piece of a file as one line for a terminal, which would obey what is not printable."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:limit])
    return f"{shown}…" if len(text) > limit else shown
