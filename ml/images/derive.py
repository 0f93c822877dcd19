"""All that is kept of a photo, from one decode of what was uploaded."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from .decoder import read
from .derivatives import CLEAN_SIDE, clean, encode_jpeg, thumb


@dataclass(frozen=True)
class Encoded:
    """The derivatives as JPEG bytes, and the size of the upright original in pixels."""

    clean: bytes
    thumb: bytes
    width: int
    height: int


def derive(data: bytes) -> tuple[Image.Image, Encoded]:
    """The clean picture of an original, and its derivatives.

    Raises:
        PhotoRefused: the bytes are not a picture we take.
    """
    header, picture = read(data, max_side=CLEAN_SIDE)
    kept = clean(picture)
    return kept, Encoded(encode_jpeg(kept), encode_jpeg(thumb(kept)), header.width, header.height)
