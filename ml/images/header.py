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
from typing import IO, Literal, cast, get_args

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from .containers import describe_avif, describe_heif
from .ends import MAX_PARTS, find_end, is_archive_end, is_first_scan_whole
from .other_formats import find_other_format
from .png import read_png
from .segments import pass_over_short_segments
from .webp import open_webp

Code = Literal["not_an_image", "too_large", "too_many_pixels", "truncated", "unsupported", "too_small", "one_colour"]

CODES = get_args(Code)
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF")

MAX_BYTES = 40 * 1024 * 1024
PEAK_BYTES = 256 * 1024 * 1024  # that decoding one picture may take by its header: a HEIC of 50 megapixels does
# Pillow would count pixels, whatever memory they take.
Image.MAX_IMAGE_PIXELS = None

# Pictures that take this much memory or more are decoded one at a time, so that threads do not exhaust it together. The
# HEIC photos of most phones, of 12 million pixels, take less.
LARGE_BYTES = 160 * 1024 * 1024
# What decoding takes in bytes a pixel, opaque and transparent, as measured. JPEG and PNG take what their mode does.
_DECODING_BYTES = {"GIF": (10, 10), "WEBP": (20, 20), "AVIF": (10, 16)}
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}
BAND_BYTES = 4 * 1024 * 1024  # no more than a band of rows is converted before it is shrunk
APART_BYTES = 32 * 1024 * 1024  # what takes more is decoded in a process of its own, so that this one does not grow
# How much of a JPEG is read to see its first scan: metadata comes before it, and seldom much.
START_BYTES = (64 * 1024, 1024 * 1024)

PREFIX_BYTES = 64  # enough to tell every format that is taken, even AVIF, whose container is named by brands
COUNTED_BYTES = 128 * 1024  # a read costs one part, and another for each so many bytes that were read before
END_BYTES = 64 * 1024  # a web page or an archive hidden in a picture is mostly appended, so the end is searched

_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that turn by a quarter, so that width and height change places

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_CONTAINER_BRANDS = {b"mif1", b"msf1"}

_MARKUP = re.compile(rb"</?(?:script|html|svg|iframe|body)[\s>/]|<!doctype\s|<\?php", re.IGNORECASE)
_ZIP_END = re.compile(rb"PK\x05\x06")

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


def read_header(image: ImageFile.ImageFile) -> Header:
    """The header of a picture that was opened and not yet drafted or decoded."""
    turn = read_orientation(image)
    width, height = read_shown_size(image)
    if turn in _SIDEWAYS:
        width, height = height, width
    return Header("JPEG" if image.format == "MPO" else str(image.format), width, height, turn != 1)


def read_shown_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """The size of the part that is shown, before anything turns it."""
    left, top, right, bottom = image.info.get("crop", (0, 0, *image.size))
    return right - left, bottom - top


def open_picture(file: IO[bytes], *, header_only: bool = False) -> ImageFile.ImageFile:
    """Open a picture that has not too many bytes, and is of a format that is taken; nothing is decoded yet.

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
    with refuse_damaged_photo():
        return _open(file, name, header_only=header_only)


def _open(file: IO[bytes], name: str, *, header_only: bool) -> ImageFile.ImageFile:
    if name == "PNG":
        return read_png(file, header_only=header_only).open()
    if name == "WEBP":
        file.seek(0)
        return open_webp(file)
    # Without `formats` Pillow would try all its decoders, of which most serve formats that are not taken.
    try:
        image = Image.open(cast("IO[bytes]", Rationed(file)), formats=[name])
    except UnidentifiedImageError:
        if name != "JPEG":
            raise
        return Image.open(cast("IO[bytes]", Rationed(pass_over_short_segments(file))), formats=[name])
    if name == "HEIF":
        describe_heif(image, file)
    elif name == "AVIF":
        file.seek(0)
        describe_avif(image, file.read())
    return image


class Rationed(io.BufferedIOBase):
    """A file that refuses to be read in more parts than pictures have.

    Pillow reads metadata part by part, and joins each part of EXIF with all that came before: of 40 MB of tiny parts
    that takes a quarter of an hour.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell = file.seek, file.tell  # type: ignore[method-assign]
        self._file, self._bytes, self._parts = file, 0, 0

    def read(self, size: int | None = -1) -> bytes:
        data = self._file.read(-1 if size is None else size)
        self._parts += 1 + self._bytes // COUNTED_BYTES
        self._bytes += len(data)
        if self._parts > MAX_PARTS:
            raise SyntaxError("The metadata is in too many parts.")
        return data


def read_orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8 (1: upright); nonsense counts as upright. XMP is not asked, as in browsers."""
    if "exif" not in image.info:
        return 1
    exif = Image.Exif()
    try:
        exif.load(image.info["exif"])
        turn = exif.get(ExifTags.Base.Orientation, 1)
    except HOSTILE_BYTES:
        return 1
    return turn if turn in range(1, 9) else 1


def estimate_pixel_bytes(image: ImageFile.ImageFile, draft: int, reduction: int, share: float = 1) -> int:
    """The memory that pixels take while they are decoded, and then while this share of them is converted."""
    decoded = (image.width // draft) * (image.height // draft)
    is_transparent = image.has_transparency_data or "read_mask" in image.info
    colours = 4 * ("icc_profile" in image.info) + 8 * ("coding" in image.info) + 4 * (image.mode == "CMYK")
    converting = 9 * is_transparent + colours + 4 * (read_orientation(image) != 1) + 4
    name = "JPEG" if image.format == "MPO" else str(image.format)
    if "row_bytes" in image.info:
        a_pixel = image.info["row_bytes"]
    elif name not in _DECODING_BYTES or getattr(image, "dispose_extent", None) == (0, 0, *image.size):
        a_pixel = _MODE_BYTES.get(image.mode, 4) * (1.6 if name == "GIF" else 1)  # large files, slow to unpack
    else:
        a_pixel = _DECODING_BYTES[name][is_transparent]
    converted = round(decoded * share) // reduction**2 * converting
    return round(decoded * a_pixel) + converted + (BAND_BYTES if reduction > 1 else 0)


def count_buffered_bytes(image: ImageFile.ImageFile, file: IO[bytes]) -> int:
    """What libjpeg keeps of a JPEG of several scans until the last: 16 bits for each coefficient, at full size."""
    layers: list[tuple[int, int, int, int]] = image.layer  # type: ignore[attr-defined]
    widest, highest = max(layer[1] for layer in layers), max(layer[2] for layer in layers)
    share = sum(layer[1] * layer[2] for layer in layers) / (widest * highest)
    size = round(2 * share * image.width * image.height)
    # Where it would be little, nobody looks into the file for scans of one channel each, which hardly any has.
    is_whole = size < APART_BYTES or any(
        is_first_scan_whole(_read_start(file, most), len(layers)) for most in START_BYTES
    )
    return 0 if is_whole and "progressive" not in image.info else size


def _read_start(file: IO[bytes], size: int) -> bytes:
    file.seek(0)
    return file.read(size)


@cache
def _register_heif() -> None:
    """Teach Pillow HEIF, when the first such file comes: the picture only, decoded on the caller's thread."""
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


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
    return find_format_in_container(prefix) or _refuse_format(prefix)


def find_format_in_container(prefix: bytes) -> str | None:
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
    if name := find_other_format(prefix):
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
    is_suspect = any(is_archive_end(end, match.start()) for match in _ZIP_END.finditer(end))
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
