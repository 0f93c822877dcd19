"""The network's input, for indexing, searching and training alike: nobody else resizes to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def prepare(image: Image.Image, size: int) -> Pixels:
    """Scale the shorter side to `size` and keep the central square: uint8[size, size, 3].

    The square is cut before it is scaled, so a 10,000 x 1 picture costs no more than any other.

    Raises:
        ValueError: `image` is not RGB.
    """
    if image.mode != "RGB":
        raise ValueError(f"A picture is prepared from RGB pixels, not from mode {image.mode}.")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    square = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(square)
