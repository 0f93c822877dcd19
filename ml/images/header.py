"""What a picture's header says, and the limits it must keep, before any pixel is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import IO

from PIL import ExifTags, Image, ImageFile

from .av1 import coded_pixels
from .formats import END_BYTES, PREFIX_BYTES, identify, refuse_polyglot
from .refusal import HOSTILE_BYTES, PhotoRefused, refuse_damaged

MAX_BYTES = 20 * 1024 * 1024
MAX_JPEG_PIXELS = 64_000_000  # decoded at a fraction of their size
MAX_PIXELS = 24_000_000
MAX_AVIF_PIXELS = 3 * MAX_PIXELS  # of all that is coded in the file: colours, alpha, a thumbnail, padding

_SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Header:
    """A picture as it will be shown: upright size in pixels, and whether EXIF turns or mirrors what is stored."""

    format: str
    width: int
    height: int
    oriented: bool


def sniff(file: IO[bytes]) -> Header:
    """Read the header of an open binary file, and leave it at its start.

    Raises:
        PhotoRefused: the file is no picture that `decode` would take; pixels may still be found damaged later.
        OSError: the file cannot be read.
    """
    header = header_of(open_picture(file))
    file.seek(0)
    return header


def header_of(image: ImageFile.ImageFile) -> Header:
    """The header of a picture that was opened and not yet drafted or decoded."""
    turn = orientation(image)
    width, height = image.size
    if turn in _SIDEWAYS:
        width, height = height, width
    return Header("JPEG" if image.format == "MPO" else str(image.format), width, height, turn != 1)


def open_picture(file: IO[bytes]) -> ImageFile.ImageFile:
    """Open a picture whose size, format and number of pixels are within the limits; nothing is decoded yet."""
    size = file.seek(0, io.SEEK_END)
    if size > MAX_BYTES:
        raise PhotoRefused(
            f"The photo is larger than {MAX_BYTES // 1024**2} MB. Save it smaller and send it again.", "too_large"
        )
    file.seek(max(0, size - END_BYTES))
    end = file.read(END_BYTES)
    file.seek(0)
    name = identify(file.read(PREFIX_BYTES))
    refuse_polyglot(end)
    if name == "HEIF":
        _register_heif()
    try:
        with refuse_damaged():
            image = Image.open(file, formats=[name])
    except PhotoRefused as refusal:
        if isinstance(refusal.__cause__, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
            raise _too_many_pixels(name) from refusal.__cause__
        raise
    if image.width * image.height > _limit(name) or (name == "AVIF" and _coded_pixels(file) > MAX_AVIF_PIXELS):
        raise _too_many_pixels(name)
    return image


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8 (1: upright); nonsense counts as upright."""
    if "exif" not in image.info:  # asking would decode a PNG
        return 1
    try:
        turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    except HOSTILE_BYTES:
        return 1
    return turn if turn in range(1, 9) else 1


def _coded_pixels(file: IO[bytes]) -> int:
    file.seek(0)
    with refuse_damaged():
        return coded_pixels(file.read())


@cache
def _register_heif() -> None:
    """Teach Pillow HEIF, when the first such file comes: the picture only, decoded on the caller's thread."""
    from pi_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


def _limit(name: str) -> int:
    return MAX_JPEG_PIXELS if name == "JPEG" else MAX_PIXELS


def _too_many_pixels(name: str) -> PhotoRefused:
    return PhotoRefused(
        f"The photo has more than {_limit(name) // 1_000_000} million pixels. Save it smaller and send it again.",
        "too_many_pixels",
    )
