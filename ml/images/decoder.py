"""Bytes to pixels. The same decode serves indexing and searching, so that equal photos give equal pixels.

Whatever colour mode and profile a picture has, it becomes RGB in sRGB, over white. AVIF and HEIF are decoded by these
functions in another process, because their decoders take memory by what a file claims.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageFile

from ml.per_process import PerProcess

from .colour import convert_coded_colours
from .decoder_process import decode_apart, sniff_apart
from .ends import count_scans, fill_missing_end
from .gif import uncover_canvas
from .header import (
    HOSTILE_BYTES,
    LARGE_BYTES,
    MAX_BYTES,
    PEAK_BYTES,
    PREFIX_BYTES,
    Header,
    PhotoRefused,
    count_buffered_bytes,
    estimate_pixel_bytes,
    find_format_in_container,
    open_picture,
    read_header,
    read_orientation,
    read_shown_size,
    refuse_damaged_photo,
)

# A progressive JPEG has about ten scans, and each costs as much as decoding the whole picture.
MAX_SCANS = 100
MAX_SCANNED_PIXELS = 4_000_000_000  # in all scans together, which take some three seconds
MAX_PROFILE_BYTES = 4 * 1024 * 1024

CLEAN_SIDE = 512  # the longest side of the picture that is kept of an upload, so an upload is judged by it

# The fractions, as divisors of its sides, at which libjpeg decodes a picture.
_DRAFTS = (1, 2, 4, 8)
_large = PerProcess(threading.Lock)

# A decoded photo takes a lot of memory for a moment, and a web process answers several visitors at once.
DECODES_AT_ONCE = 2
_decoding_places = PerProcess(lambda: threading.BoundedSemaphore(DECODES_AT_ONCE))

# What makes a picture upright, by EXIF's orientation. Pillow turns anticlockwise, so a quarter to the right, 6, is 270.
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
    """The picture of `decode_with_header`, for whoever does not need its header."""
    return decode_with_header(data, max_side)[1]


def decode_file(path: Path, max_side: int | None = None) -> Image.Image:
    """The picture in a file, as `decode` gives it. Raises: OSError, PhotoRefused."""
    with path.open("rb") as file:
        # One byte over the limit makes the decoder refuse, so no huge file needs to be read whole.
        return decode(file.read(MAX_BYTES + 1), max_side)


def sniff_header(file: IO[bytes]) -> Header:
    """Read the header of an open binary file, and leave it at its start.

    Raises:
        PhotoRefused: the file is no picture that `decode` would take; pixels may still be found damaged later.
        OSError: the file cannot be read.
    """
    file.seek(0)
    if _is_decoded_apart(file.read(PREFIX_BYTES)):
        file.seek(0)
        header = sniff_apart(file.read(MAX_BYTES + 1), CLEAN_SIDE)
    else:
        header = open_for_decoding(file, CLEAN_SIDE, header_only=True).header
    file.seek(0)
    return header


def decode_with_header(data: bytes, max_side: int | None = None) -> tuple[Header, Image.Image]:
    """The header, and the first frame: an upright RGB picture in sRGB, white where it was transparent, no metadata.

    Args:
        max_side: the picture will be scaled down to this longest side, in pixels, so decoding may stop early: what
            comes back has a longest side of at least `max_side`, or is the whole picture; of a JPEG that is too large
            for that, the most that memory allows.

    Raises:
        PhotoRefused: the bytes are no picture, or one that is too large, damaged or of a format that is not taken.
    """
    if _is_decoded_apart(data[:PREFIX_BYTES]):
        return decode_apart(data, max_side, hold_large_picture_lock)
    try:
        return _decode_whole(data, max_side)
    except PhotoRefused as refusal:
        if refusal.code == "truncated" and (decoded := _decode_without_end(data, max_side)):
            return decoded
        raise


def _decode_without_end(data: bytes, max_side: int | None) -> tuple[Header, Image.Image] | None:
    """What a JPEG without the mark of its end shows if all its pixels are there, as in panoramas of some phones."""
    found = None
    for filled in fill_missing_end(data):
        header, picture = _decode_whole(filled, max_side)
        if found and ImageChops.difference(found[1], picture).getbbox():
            return None
        found = header, picture
    return found


def _decode_whole(data: bytes, max_side: int | None) -> tuple[Header, Image.Image]:
    opened = open_for_decoding(io.BytesIO(data), max_side)
    pixels = opened.header.width * opened.header.height
    most = min(MAX_SCANS, max(3, MAX_SCANNED_PIXELS // pixels))  # of one channel each, where all are whole
    # Counting two bytes takes no time, but a film behind the picture holds them by chance.
    if opened.header.format == "JPEG" and data.count(b"\xff\xda") > most < count_scans(data):
        raise PhotoRefused("The JPEG has too many scans. Save the photo again and send it once more.", "unsupported")
    with hold_large_picture_lock(opened.peak_bytes):
        return opened.header, load_picture(opened)


def _is_decoded_apart(prefix: bytes) -> bool:
    return find_format_in_container(prefix) is not None


class Opened(NamedTuple):
    """A picture that may be decoded, and what will be done: `draft` and `reduction` divide its sides, the one while
    libjpeg decodes, the other before colours are converted."""

    image: ImageFile.ImageFile
    header: Header
    draft: int
    reduction: int
    peak_bytes: int


def open_for_decoding(file: IO[bytes], max_side: int | None, *, header_only: bool = False) -> Opened:
    """Open a picture in this process. Raises PhotoRefused, also where its pixels would take too much memory."""
    image = open_picture(file, header_only=header_only)
    header = read_header(image)
    with refuse_damaged_photo():
        buffered = count_buffered_bytes(image, file) if header.format == "JPEG" else 0
        for draft in _list_drafts(header, max_side):
            reduction = _choose_reduction(max(read_shown_size(image)) // draft, max_side)
            peak = buffered + estimate_pixel_bytes(image, draft, reduction)
            if peak <= PEAK_BYTES:
                return Opened(image, header, draft, reduction, peak)
    raise PhotoRefused(
        f"The photo is too large to be opened here: {header.width:,} x {header.height:,} pixels. "
        "Save it smaller and send it again.",
        "too_many_pixels",
    )


def _list_drafts(header: Header, max_side: int | None) -> Sequence[int]:
    """The fractions to decode at, the best first: the next ones lose pixels, and are for what takes too much memory."""
    if header.format != "JPEG" or max_side is None:
        return _DRAFTS[:1]
    fitting = [draft for draft in _DRAFTS if draft * max_side <= max(header.width, header.height)]
    return _DRAFTS[max(0, len(fitting) - 1) :]


def _choose_reduction(longest: int, max_side: int | None) -> int:
    """By which whole factor to shrink before colours are converted; twice the wanted side stays, for quality."""
    return max(1, longest // (2 * max_side)) if max_side is not None else 1


def load_picture(opened: Opened) -> Image.Image:
    """Decode what was opened. Raises PhotoRefused where it is damaged."""
    image = opened.image
    # By default Pillow takes the interpreter's lock again for every 64 KB, and threads would wait for it each time.
    image.decodermaxblock = MAX_BYTES
    with refuse_damaged_photo():
        if opened.draft > 1:
            # A draft makes libjpeg decode at a fraction of the size, in less time and memory.
            image.draft(None, (max(1, image.width // opened.draft), max(1, image.height // opened.draft)))
        image.load()
        if image.format == "GIF":
            uncover_canvas(image)
        turn = read_orientation(image)
        picture = flatten_to_srgb(image, opened.reduction)
    return picture.transpose(_TURNS[turn]) if turn in _TURNS else picture


@contextmanager
def try_decoding_place() -> Iterator[bool]:
    """Hold one of this process's places for decoding until the end; false at once when all are taken."""
    places = _decoding_places.get()
    has_place = places.acquire(blocking=False)
    try:
        yield has_place
    finally:
        if has_place:
            places.release()


@contextmanager
def hold_large_picture_lock(peak_bytes: int) -> Iterator[None]:
    """Wait until no other large picture is being decoded; small ones never wait."""
    if peak_bytes < LARGE_BYTES:
        yield
        return
    with _large.get():
        yield


def flatten_to_srgb(image: Image.Image, reduction: int = 1) -> Image.Image:
    """A loaded picture as RGB in sRGB, white where it was transparent, shrunk by the whole factor `reduction`.

    A broken or foreign colour profile is passed over, and the colour space in EXIF not asked, as in browsers.
    White is laid below the converted colours: in what a profile or a curve codes, half of white is another colour.
    """
    profile, coding = image.info.get("icc_profile"), image.info.get("coding")
    picture = _to_plain_mode(image)
    if "crop" in image.info:
        picture = picture.crop(image.info["crop"])
    if reduction > 1:
        picture = picture.reduce(reduction)
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    picture = _convert_mode(picture, picture.mode.removesuffix("A"))
    converted = _convert_to_srgb(picture, profile) or _convert_mode(picture, "RGB")
    if coding:
        converted = convert_coded_colours(converted, coding)
    if alpha:
        converted = Image.composite(converted, Image.new("RGB", converted.size, "white"), alpha)
    # Whoever saves this must not write the profile again, which has been applied.
    converted.info = {}
    return converted


def _to_plain_mode(image: Image.Image) -> Image.Image:
    """The picture in one of L, RGB, CMYK, LA or RGBA: 8 bits a channel, colours instead of palette entries."""
    if image.mode.startswith("I;16"):
        return _to_eight_bits(image)
    if image.mode == "CMYK":
        # Adobe stores CMYK inverted, and everybody since; Pillow inverts each CMYK JPEG, as browsers do.
        return image
    if "read_mask" in image.info:
        image.putalpha(image.info["read_mask"]())
    if image.has_transparency_data:
        return _convert_mode(image, "LA" if image.mode == "LA" else "RGBA")
    return _convert_mode(image, "L" if image.mode == "L" else "RGB")


def _convert_mode(image: Image.Image, mode: str) -> Image.Image:
    """The picture in `mode`; itself where it is, which Pillow would copy."""
    return image if image.mode == mode else image.convert(mode)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits to 8; Pillow's own conversion would clip."""
    levels = np.asarray(image)
    grey = Image.fromarray((levels >> 8).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8)))
    return grey


def _convert_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """The picture converted by its embedded ICC profile; None where there is none or it does not fit."""
    if not profile or len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        # The default, perceptual, would stretch what printers' profiles call black to the black of a screen.
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        return ImageCms.profileToProfile(image, source, _srgb_profile(), intent, "RGB")
    except (ImageCms.PyCMSError, *HOSTILE_BYTES):
        return None


@cache
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
