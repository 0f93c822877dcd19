"""Small pictures, each different from all others: soft blots of random colours."""

from __future__ import annotations

import io
from random import Random

import numpy as np
from PIL import Image

BLOTS = (6, 8, 3)
SIZE = (160, 120)
AVIF_EVERY = 5  # so that the process that decodes AVIF is there to be killed


def draw_photo(number: int, seed: int) -> tuple[str, bytes]:
    """The name and the bytes of a picture."""
    pixels = np.frombuffer(Random(f"{seed}-{number}").randbytes(int(np.prod(BLOTS))), np.uint8).reshape(BLOTS)
    image = Image.fromarray(pixels).resize(SIZE, Image.Resampling.BICUBIC)
    kind = "avif" if number % AVIF_EVERY == 0 else "jpeg"
    out = io.BytesIO()
    image.save(out, kind)
    return f"{number}.{kind}", out.getvalue()
