"""What is kept of a photo: the clean picture, which is embedded and shown, and its thumbnail."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import cast

from PIL import Image

from .cut_off import describe_missing
from .decoder import CLEAN_SIDE, decode_with_header
from .header import Header, PhotoRefused

THUMB_SIDE = 320
QUALITY = 90

MIN_SIDE = 64
# WebP of quality 75 or more writes a plain colour up to 11 levels apart, the other formats up to 5, while the flattest
# of 8,398 real photos spans 71.
ONE_COLOUR_LEVELS = 12


@dataclass(frozen=True)
class Encoded:
    """The derivatives as JPEG bytes, the size of the upright original in pixels, and what the seller should know."""

    clean: bytes
    thumb: bytes
    width: int
    height: int
    note: str = ""


def make_derivatives(data: bytes) -> tuple[Image.Image, Encoded]:
    """Decode an original once. Returns its clean picture, and all that is kept of it.

    Raises:
        PhotoRefused: the bytes are not a picture we take.
    """
    header, picture = decode_with_header(data, max_side=CLEAN_SIDE)
    kept = make_clean_picture(picture)
    note = describe_missing(picture) if picture.info else ""
    return kept, Encoded(encode_jpeg(kept), encode_jpeg(make_thumb(kept)), header.width, header.height, note)


def refuse_small_picture(header: Header) -> None:
    """Raise `PhotoRefused` where a side is so short that a photo shows nothing; it can be decoded all the same."""
    if min(header.width, header.height) < MIN_SIDE:
        raise PhotoRefused(
            f"The photo is {header.width} by {header.height} pixels, and each side needs {MIN_SIDE} or more. "
            "Send a larger one.",
            "too_small",
        )


def refuse_plain_picture(image: Image.Image) -> None:
    """Raise `PhotoRefused` where a decoded picture is of one colour, as one is that was transparent all over."""
    # Pillow finds the extremes of three channels in a tenth of the time that numpy takes.
    extremes = cast("tuple[tuple[int, int], ...]", image.getextrema())
    if all(high - low <= ONE_COLOUR_LEVELS for low, high in extremes):
        raise PhotoRefused(
            "The photo is one colour all over, so nothing can be seen in it. Send another one.", "one_colour"
        )


def make_clean_picture(image: Image.Image) -> Image.Image:
    """The picture with a longest side of at most `CLEAN_SIDE`, never enlarged."""
    return _scale_down(image, CLEAN_SIDE)


def make_thumb(image: Image.Image) -> Image.Image:
    """The picture with a longest side of at most `THUMB_SIDE`, never enlarged."""
    return _scale_down(image, THUMB_SIDE)


def encode_jpeg(image: Image.Image) -> bytes:
    """An RGB picture as a JPEG file that holds pixels and nothing else."""
    buffer = io.BytesIO()
    bare = image.copy()
    bare.info = {}
    bare.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _scale_down(image: Image.Image, side: int) -> Image.Image:
    longest = max(image.size)
    if longest <= side:
        return image
    size = max(1, round(image.width * side / longest)), max(1, round(image.height * side / longest))
    # Bicubic scaling is a quarter faster here than Lanczos, and looks as sharp.
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
