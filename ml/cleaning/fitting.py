"""How a picture of any shape becomes one of the wanted size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

JPEG_SIDE = 65_500  # pixels; Pillow's encoder refuses a longer side


@dataclass(frozen=True)
class Fit:
    """A way to bring a picture to `size` pixels, and how long its longest side must be decoded for it.

    `needed_side` takes the picture's width and height, and `size`.
    """

    apply: Callable[[Image.Image, int], Image.Image]
    needed_side: Callable[[tuple[int, int], int], int]


def fit_into_square(image: Image.Image, size: int) -> Image.Image:
    """The whole picture, as large as it fits, in the middle of a black square of `size` x `size` pixels."""
    scaled = _scale_by(image, size / max(image.size))
    square = Image.new("RGB", (size, size))
    square.paste(scaled, ((size - scaled.width) // 2, (size - scaled.height) // 2))
    return square


def fit_shorter_side(image: Image.Image, size: int) -> Image.Image:
    """The picture with a shorter side of at most `size`, never enlarged, and with sides that a JPEG can have."""
    return _scale_by(image, min(1, size / min(image.size), JPEG_SIDE / max(image.size)))


def _scale_by(image: Image.Image, scale: float) -> Image.Image:
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    # `reducing_gap` lets Pillow shrink far larger pictures by a whole factor first: faster, and at 2 it hardly shows.
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


FITS = {
    "letterbox": Fit(fit_into_square, lambda _shape, size: size),
    "shorter-side": Fit(fit_shorter_side, lambda shape, size: math.ceil(size * max(shape) / min(shape))),
}
