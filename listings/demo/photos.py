"""A planned photo, drawn."""

from __future__ import annotations

import io

from PIL import Image

from .drawing import draw
from .plan import DemoPhoto

JPEG_QUALITY = 88


def picture(photo: DemoPhoto) -> Image.Image:
    return draw(photo.kind, photo.variant, photo.colour, photo.pattern, photo.background, photo.view)


def jpeg(photo: DemoPhoto) -> bytes:
    out = io.BytesIO()
    picture(photo).save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()
