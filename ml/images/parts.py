"""Parts of pictures, in fractions that fit a picture at whatever size it is decoded."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image

# Left, top, width and height, as fractions of the upright picture.
Box = tuple[float, float, float, float]
# Left, top, right and bottom in pixels.
Part = tuple[int, int, int, int]

# No part may be smaller: whoever decodes for it decodes a picture so many times as wide.
MIN_FRACTION = 1 / 64
MIN_PIXELS = 32
SLACK = 1e-6  # fractions that a client rounded may sum to a little more than one, and mean the whole picture

# Where a corner of the upright picture is in what is stored, by EXIF's orientation.
_STORED: dict[int, Callable[[float, float], tuple[float, float]]] = {
    1: lambda u, v: (u, v),
    2: lambda u, v: (1 - u, v),
    3: lambda u, v: (1 - u, 1 - v),
    4: lambda u, v: (u, 1 - v),
    5: lambda u, v: (v, u),
    6: lambda u, v: (v, 1 - u),
    7: lambda u, v: (1 - v, 1 - u),
    8: lambda u, v: (1 - v, u),
}


class PartRefused(ValueError):
    """What is no part of a picture, or too small a one; the sentence is for whoever sent it."""


def refuse_bad_box(box: Box) -> None:
    """Raise `PartRefused` where a box is empty, tiny, or reaches outside the picture."""
    left, top, width, height = box
    if not (0 <= left < 1 and 0 <= top < 1 and 0 < width <= 1 - left + SLACK and 0 < height <= 1 - top + SLACK):
        raise PartRefused("A crop is x,y,w,h in fractions of the picture: each from 0 to 1, x + w and y + h at most 1.")
    if min(width, height) < MIN_FRACTION:
        raise PartRefused("The crop is too small: its width and height need 1/64 of the picture's or more each.")


def refuse_small_part(box: Box, size: tuple[int, int]) -> None:
    """Raise `PartRefused` where a box of an upright picture of `size` is so small that it shows nothing."""
    refuse_bad_box(box)
    sides = round(box[2] * size[0]), round(box[3] * size[1])
    if min(sides) < MIN_PIXELS:
        raise PartRefused(
            f"The crop is {sides[0]} by {sides[1]} pixels, and each side needs {MIN_PIXELS} or more. Cut a larger part."
        )


def find_stored_part(image: Image.Image, box: Box | None, turn: int) -> Part:
    """The pixels of a loaded picture, however it is stored, that a box of what is shown of it upright names."""
    left, top, right, bottom = image.info.get("crop", (0, 0, *image.size))
    if box is None:
        return left, top, right, bottom
    refuse_bad_box(box)
    place = _STORED[turn]
    (x0, y0), (x1, y1) = place(box[0], box[1]), place(box[0] + box[2], box[1] + box[3])
    spans = _find_pixel_span(x0, x1, left, right), _find_pixel_span(y0, y1, top, bottom)
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def _find_pixel_span(start: float, end: float, first: int, last: int) -> tuple[int, int]:
    """At least one pixel."""
    start, end = sorted((start, end))
    pixels = last - first
    low = min(max(0, math.floor(start * pixels + SLACK)), pixels - 1)
    return first + low, first + max(low + 1, min(round(end * pixels), pixels))
