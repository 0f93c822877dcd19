"""What a made picture is: a file of an odd kind, and what anybody who looks at it must see."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

RED, GREEN, BLUE, YELLOW, WHITE = (220, 40, 30), (40, 170, 60), (40, 60, 200), (240, 220, 40), (255, 255, 255)
SIZE = (96, 64)

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Made:
    """A file, the size of its picture when upright, and colours at some pixels, each right within `tolerance`."""

    data: bytes
    pixels: dict[tuple[int, int], Colour]
    size: tuple[int, int] = SIZE
    tolerance: int = 3


def corner_pixels(*colours: Colour, size: tuple[int, int] = SIZE) -> dict[tuple[int, int], Colour]:
    """The middles of the quarters: top left, top right, bottom left, bottom right."""
    w, h = size
    places = [(w // 4, h // 4), (3 * w // 4, h // 4), (w // 4, 3 * h // 4), (3 * w // 4, 3 * h // 4)]
    return dict(zip(places, colours or (RED, GREEN, BLUE, YELLOW), strict=True))


def quarters(size: tuple[int, int] = SIZE) -> Image.Image:
    """Red, green over blue, yellow, none of them a primary, so that a shift of colours shows."""
    w, h = size
    image = Image.new("RGB", size, YELLOW)
    image.paste(RED, (0, 0, w // 2, h // 2))
    image.paste(GREEN, (w // 2, 0, w, h // 2))
    image.paste(BLUE, (0, h // 2, w // 2, h))
    return image


def encode(image: Image.Image, fmt: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()
