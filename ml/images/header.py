"""Which files are taken for photos: by their first bytes, their header and its limits, before any pixel is decoded.

Names and declared types are not asked. Who is refused is told why in a sentence.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import IO, Literal

from PIL import ExifTags, Image, ImageFile

from .av1 import count_coded_pixels
from .containers import describe_avif, describe_heif
from .ends import find_end
from .png import read_png
from .webp import open_webp

Code = Literal["not_an_image", "too_large", "too_many_pixels", "truncated", "unsupported", "too_small", "one_colour"]

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 24_000_000
# A JPEG can be decoded at a fraction of its size, so it may have more pixels than other formats.
MAX_JPEG_PIXELS = 64_000_000
# An AVIF may code more than the picture that is shown: alpha, a thumbnail, padding. Memory is taken for all of it.
MAX_AVIF_PIXELS = 3 * MAX_PIXELS

PREFIX_BYTES = 64  # enough to tell every format that is taken, even AVIF, whose container is named by brands
END_BYTES = 64 * 1024  # a web page or an archive hidden in a picture is mostly appended, so the end is searched

_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that turn by a quarter, so that width and height change places

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_CONTAINER_BRANDS = {b"mif1", b"msf1"}

_UNSUPPORTED = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
    b"8BPS": "Photoshop",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\1\0": "icon",
    b"%PDF-": "PDF",
}
_SVG = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:\?xml|!--|!doctype svg|svg)", re.IGNORECASE)
_MARKUP = re.compile(rb"</?(?:script|html|svg|iframe|body)[\s>/]|<!doctype\s|<\?php", re.IGNORECASE)
_ZIP_END = re.compile(rb"PK\x05\x06")
_ZIP_DIRECTORY = b"PK\x01\x02"
_LARGEST_DIRECTORY = 1 << 24  # bytes; four random bytes of a photo, read as a size, are hardly ever less

# What Pillow and libheif raise on bytes they did not expect. MemoryError is absent: sizes are checked before pixels
# are allocated, so running out of memory is this machine's trouble and not the photo's.
HOSTILE_BYTES = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class PhotoRefused(Exception):
    """A file is not a photo that can be shown; `reason` is a sentence for the seller, `code` is for programs."""

    def __init__(self, reason: str, code: Code) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code: Code = code


@contextmanager
def refuse_damaged_photo() -> Iterator[None]:
    """Turn whatever a decoder raises on hostile bytes into a refusal; a disk that cannot be read stays an OSError."""
    try:
        yield
    except HOSTILE_BYTES as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            raise
        raise PhotoRefused(
            "The photo is damaged or was cut off while it was sent. Save it again and send it once more.", "truncated"
        ) from exc


@dataclass(frozen=True)
class Header:
    """A picture as it will be shown: upright size in pixels, and whether EXIF turns or mirrors what is stored."""

    format: str
    width: int
    height: int
    oriented: bool


def sniff_header(file: IO[bytes]) -> Header:
    """Read the header of an open binary file, and leave it at its start.

    Raises:
        PhotoRefused: the file is no picture that `decode` would take; pixels may still be found damaged later.
        OSError: the file cannot be read.
    """
    header = read_header(open_picture(file, header_only=True))
    file.seek(0)
    return header


def read_header(image: ImageFile.ImageFile) -> Header:
    """The header of a picture that was opened and not yet drafted or decoded."""
    turn = read_orientation(image)
    left, top, right, bottom = image.info.get("crop", (0, 0, *image.size))
    width, height = right - left, bottom - top
    if turn in _SIDEWAYS:
        width, height = height, width
    return Header("JPEG" if image.format == "MPO" else str(image.format), width, height, turn != 1)


def open_picture(file: IO[bytes], *, header_only: bool = False) -> ImageFile.ImageFile:
    """Open a picture whose size, format and number of pixels are within the limits; nothing is decoded yet.

    One that is `header_only` cannot be decoded later.
    """
    size = file.seek(0, io.SEEK_END)
    if size > MAX_BYTES:
        raise PhotoRefused(
            f"The photo is larger than {MAX_BYTES // 1024**2} MB. Save it smaller and send it again.", "too_large"
        )
    file.seek(0)
    name = identify_format(file.read(PREFIX_BYTES))
    refuse_polyglot(file, size, name)
    if name == "HEIF":
        _register_heif()
    try:
        with refuse_damaged_photo():
            image = _open(file, name, header_only=header_only)
    except PhotoRefused as refusal:
        # Pillow counts pixels too, and its refusal must not be told as damage.
        if isinstance(refusal.__cause__, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
            raise _too_many_pixels_refusal(name) from refusal.__cause__
        raise
    if image.width * image.height > _pixel_limit(name) or (
        name == "AVIF" and _count_coded_pixels(file) > MAX_AVIF_PIXELS
    ):
        raise _too_many_pixels_refusal(name)
    return image


def _open(file: IO[bytes], name: str, *, header_only: bool) -> ImageFile.ImageFile:
    if name == "PNG":
        return read_png(file, header_only=header_only).open()
    if name == "WEBP":
        file.seek(0)
        return open_webp(file)
    # Without `formats` Pillow would try all its decoders, of which most serve formats that are not taken.
    image = Image.open(file, formats=[name])
    if name == "HEIF":
        describe_heif(image)
    elif name == "AVIF":
        file.seek(0)
        describe_avif(image, file.read())
    return image


def read_orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8 (1: upright); nonsense counts as upright. XMP is not asked, as in browsers."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        turn = exif.get(ExifTags.Base.Orientation, 1)
    except HOSTILE_BYTES:
        return 1
    return turn if turn in range(1, 9) else 1


def _count_coded_pixels(file: IO[bytes]) -> int:
    file.seek(0)
    with refuse_damaged_photo():
        return count_coded_pixels(file.read())


@cache
def _register_heif() -> None:
    """Teach Pillow HEIF, when the first such file comes: the picture only, decoded on the caller's thread."""
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


def _pixel_limit(name: str) -> int:
    return MAX_JPEG_PIXELS if name == "JPEG" else MAX_PIXELS


def _too_many_pixels_refusal(name: str) -> PhotoRefused:
    return PhotoRefused(
        f"The photo has more than {_pixel_limit(name) // 1_000_000} million pixels. Save it smaller and send it again.",
        "too_many_pixels",
    )


def identify_format(prefix: bytes) -> str:
    """Pillow's name of the format that `prefix`, the first `PREFIX_BYTES` of a file, announces.

    Raises:
        PhotoRefused: empty, a format that is not taken, or no picture at all.
    """
    if not prefix:
        raise PhotoRefused("The file is empty.", "not_an_image")
    if prefix.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if prefix.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if prefix.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if prefix.startswith(b"RIFF") and prefix[8:12] == b"WEBP":
        return "WEBP"
    return _format_in_container(prefix) or _refuse_format(prefix)


def _format_in_container(prefix: bytes) -> str | None:
    """HEIF and AVIF share a container; its brands tell them apart."""
    if prefix[4:8] != b"ftyp":
        return None
    major = prefix[8:12]
    minor = {prefix[i : i + 4] for i in range(16, min(len(prefix), int.from_bytes(prefix[:4])), 4)}
    if major in _AVIF_BRANDS or (major in _CONTAINER_BRANDS and minor & _AVIF_BRANDS):
        return "AVIF"
    if major in _HEIF_BRANDS | _CONTAINER_BRANDS:
        return "HEIF"
    return None


def _refuse_format(prefix: bytes) -> str:
    name = next((name for magic, name in _UNSUPPORTED.items() if prefix.startswith(magic)), None)
    if name is None and _SVG.match(prefix):
        name = "SVG or XML"
    if name is not None:
        raise PhotoRefused(f"{name} files are not taken. Save the photo as JPEG, PNG, WebP or HEIC.", "unsupported")
    raise PhotoRefused("The file is not a photo.", "not_an_image")


def refuse_polyglot(file: IO[bytes], size: int, name: str) -> None:
    """Refuse a picture of `size` bytes that is also an archive, or has a web page or a script behind its end.

    Metadata may say such words: editors write property lists with a document type. An archive is refused wherever in
    the last `END_BYTES` its end is, because programs open it from there, and neither cameras nor editors write one.
    """
    start = max(0, size - END_BYTES)
    file.seek(start)
    end = file.read(END_BYTES)
    is_suspect = any(_is_archive_end(end, match.start()) for match in _ZIP_END.finditer(end))
    if not is_suspect and _MARKUP.search(end):
        file.seek(0)
        data = file.read()
        is_suspect = bool(_MARKUP.search(data, max(start, find_end(data, name))))
    file.seek(0)
    if is_suspect:
        raise PhotoRefused(
            "The file holds a picture and something else (a web page or an archive). Save the photo again as JPEG.",
            "not_an_image",
        )


def _is_archive_end(end: bytes, position: int) -> bool:
    """Whether a ZIP's end record at `position` has its directory before it: four bytes alone occur by chance."""
    size = int.from_bytes(end[position + 12 : position + 16], "little")
    if size > position:
        return size < _LARGEST_DIRECTORY
    return size == 0 or end[position - size :].startswith(_ZIP_DIRECTORY)
