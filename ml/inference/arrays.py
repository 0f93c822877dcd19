"""The arrays at both ends of a network: pixels in, for indexing, searching and training alike; unit vectors out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]

# Vectors computed in low precision miss the length 1 by a few hundredths; vectors that are wrong miss it by far.
UNIT_NORMS = (0.9, 1.1)


def resize_and_crop(image: Image.Image, size: int) -> Pixels:
    """Scale the shorter side to `size` and keep the central square: uint8[size, size, 3].

    Nobody else resizes to the network's input. The square is cut before it is scaled, so a 10,000 x 1 picture costs no
    more than any other.

    Raises:
        ValueError: `image` is not RGB.
    """
    if image.mode != "RGB":
        raise ValueError(f"A picture is prepared from RGB pixels, not from mode {image.mode}.")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    square = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(square)


def require_pixel_shape(batch: Pixels, size: int) -> None:
    """Raise ValueError unless `batch` is uint8[N, size, size, 3]."""
    if batch.dtype != np.uint8 or batch.shape[1:] != (size, size, 3):
        raise ValueError(f"Expected uint8[N, {size}, {size}, 3], got {batch.dtype}{list(batch.shape)}.")


def is_indexable(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """bool[n]: whether each row of float[n, dim] is finite and of unit length: inner products with it are cosines."""
    with np.errstate(over="ignore", invalid="ignore"):  # a row of huge or missing numbers is refused, not warned about
        norms = np.linalg.norm(vectors.astype(np.float32), axis=1)
    # A row that is not finite is refused here too: its norm is infinite or NaN, and neither lies between the bounds.
    return (norms > UNIT_NORMS[0]) & (norms < UNIT_NORMS[1])
