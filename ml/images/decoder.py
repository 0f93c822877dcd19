"""Bytes to pixels. The same decode serves indexing and searching, so that equal photos give equal pixels."""

from __future__ import annotations

import io

from PIL import Image, ImageFile

from .colour import to_srgb
from .header import Header, header_of, open_picture, orientation
from .memory import one_large_at_a_time
from .refusal import PhotoRefused, refuse_damaged

MAX_SCANS = 100  # a progressive JPEG has about ten; each costs as much as decoding the whole picture

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, max_side: int | None = None) -> Image.Image:
    """The picture of `read`, for whoever does not need its header."""
    return read(data, max_side)[1]


def read(data: bytes, max_side: int | None = None) -> tuple[Header, Image.Image]:
    """The header, and the first frame: an upright RGB picture in sRGB, white where it was transparent, no metadata.

    Args:
        max_side: the picture will be scaled down to this longest side, in pixels, so decoding may stop early: what
            comes back has a longest side of at least `max_side`, or is the whole picture.

    Raises:
        PhotoRefused: the bytes are no picture, or one that is too large, damaged or of a format that is not taken.
    """
    image = open_picture(io.BytesIO(data))
    if image.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > MAX_SCANS:
        raise PhotoRefused("The JPEG has too many scans. Save the photo again and send it once more.", "unsupported")
    header = header_of(image)
    image.decodermaxblock = len(data)  # by default Pillow takes the interpreter's lock back for every 64 KB
    with refuse_damaged():
        if max_side is not None:
            image.draft(None, _size_for(image, max_side))
        with one_large_at_a_time(header, image):
            image.load()
            turn = orientation(image)
            picture = to_srgb(image, _reduction(image, max_side))
    return header, picture.transpose(_TURNS[turn]) if turn in _TURNS else picture


def _size_for(image: ImageFile.ImageFile, max_side: int) -> tuple[int, int]:
    longest = max(image.size)
    return max(1, image.width * max_side // longest), max(1, image.height * max_side // longest)


def _reduction(image: Image.Image, max_side: int | None) -> int:
    """By which whole factor to shrink before colours are converted; twice the wanted side stays, for quality."""
    return max(1, max(image.size) // (2 * max_side)) if max_side is not None else 1
