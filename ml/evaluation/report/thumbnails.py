"""Small pictures as data URIs."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from ml.images import PhotoRefused, decode_file, make_clean_picture

SIDE = 112
QUALITY = 70


def make_thumbnail(path: Path) -> str | None:
    """A `data:` URI of a few kilobytes; None where the file cannot be read any more."""
    try:
        picture = make_clean_picture(decode_file(path, SIDE))
    except (OSError, PhotoRefused):
        return None
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
