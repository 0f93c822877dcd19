"""A planned photo, drawn."""

from __future__ import annotations

import io

from PIL import Image

from .drawing import draw_photo
from .plan import DemoPhoto

JPEG_QUALITY = 88


def draw_planned_photo(photo: DemoPhoto) -> Image.Image:
    return draw_photo(photo.kind, photo.variant, photo.colour, photo.pattern, photo.background, photo.view)


def encode_planned_photo(photo: DemoPhoto) -> bytes:
    out = io.BytesIO()
    draw_planned_photo(photo).save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()
