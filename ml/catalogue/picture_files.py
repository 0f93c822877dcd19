"""Which file belongs to a row of a catalogue's table of images, whose ids have no suffix."""

from __future__ import annotations

from pathlib import Path

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def find_picture(folder: Path, stem: str) -> Path | None:
    """The first regular file of this name with one of the suffixes, in their order."""
    return next((path for suffix in PICTURE_SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()), None)
