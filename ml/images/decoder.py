"""Bytes to pixels. The same decode serves indexing and searching, so that equal photos give equal pixels.

Whatever colour mode and profile a picture has, it becomes RGB in sRGB, over white.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageFile

from ml.per_process import PerProcess

from .colour import convert_coded_colours
from .ends import count_scans, fill_missing_end
from .gif import uncover_canvas
from .header import (
    HOSTILE_BYTES,
    MAX_BYTES,
    Header,
    PhotoRefused,
    open_picture,
    read_header,
    read_orientation,
    refuse_damaged_photo,
)

# A progressive JPEG has about ten scans, and each costs as much as decoding the whole picture.
MAX_SCANS = 100
MAX_PROFILE_BYTES = 4 * 1024 * 1024

# Pictures that take this much memory or more are decoded one at a time, so that threads do not exhaust it together.
LARGE_BYTES = 100 * 1024 * 1024
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


def decode_with_header(data: bytes, max_side: int | None = None) -> tuple[Header, Image.Image]:
    """The header, and the first frame: an upright RGB picture in sRGB, white where it was transparent, no metadata.

    Args:
        max_side: the picture will be scaled down to this longest side, in pixels, so decoding may stop early: what
            comes back has a longest side of at least `max_side`, or is the whole picture.

    Raises:
        PhotoRefused: the bytes are no picture, or one that is too large, damaged or of a format that is not taken.
    """
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
    image = open_picture(io.BytesIO(data))
    # Counting two bytes takes no time, but a film behind the picture holds them by chance.
    if image.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > MAX_SCANS < count_scans(data):
        raise PhotoRefused("The JPEG has too many scans. Save the photo again and send it once more.", "unsupported")
    header = read_header(image)
    # By default Pillow takes the interpreter's lock again for every 64 KB, and threads would wait for it each time.
    image.decodermaxblock = len(data)
    with refuse_damaged_photo():
        if max_side is not None:
            # A draft makes libjpeg decode at a fraction of the size, in less time and memory; other formats ignore it.
            image.draft(None, _draft_size(image, max_side))
        with hold_large_picture_lock(header, image):
            image.load()
            if image.format == "GIF":
                uncover_canvas(image)
            turn = read_orientation(image)
            picture = flatten_to_srgb(image, _choose_reduction(image, max_side))
    return header, picture.transpose(_TURNS[turn]) if turn in _TURNS else picture


def _draft_size(image: ImageFile.ImageFile, max_side: int) -> tuple[int, int]:
    longest = max(image.size)
    return max(1, image.width * max_side // longest), max(1, image.height * max_side // longest)


def _choose_reduction(image: Image.Image, max_side: int | None) -> int:
    """By which whole factor to shrink before colours are converted; twice the wanted side stays, for quality."""
    return max(1, max(image.size) // (2 * max_side)) if max_side is not None else 1


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
def hold_large_picture_lock(header: Header, image: Image.Image) -> Iterator[None]:
    """Wait until no other large picture is being decoded; small ones never wait."""
    if _estimate_peak_bytes(header, image) < LARGE_BYTES:
        yield
        return
    with _large.get():
        yield


def _estimate_peak_bytes(header: Header, drafted: Image.Image) -> int:
    """The memory that decoding takes, roughly: two copies of four bytes a pixel, while colours are converted.

    A progressive JPEG also keeps 16 bits for each coefficient of up to three channels until its last scan, at full
    size, whatever it was drafted to.
    """
    coefficients = 3 * header.width * header.height if drafted.info.get("progressive") else 0
    return 2 * coefficients + 2 * 4 * drafted.width * drafted.height


def flatten_to_srgb(image: Image.Image, reduction: int = 1) -> Image.Image:
    """A loaded picture as RGB in sRGB, white where it was transparent, shrunk by the whole factor `reduction`.

    A broken or foreign colour profile is passed over, as browsers do.
    """
    profile, coding = image.info.get("icc_profile"), image.info.get("coding")
    picture = _to_plain_mode(image)
    if "crop" in image.info:
        picture = picture.crop(image.info["crop"])
    if reduction > 1:
        picture = picture.reduce(reduction)
    picture = _composite_over_white(picture)
    converted = _convert_to_srgb(picture, profile) or _convert_mode(picture, "RGB")
    if coding:
        converted = convert_coded_colours(converted, coding)
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


def _composite_over_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "RGBA"):
        return image
    mode = image.mode.removesuffix("A")
    flat = Image.new(mode, image.size, "white")
    flat.paste(image.convert(mode), mask=image.getchannel("A"))
    return flat


def _convert_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """The picture converted by its embedded ICC profile; None where there is none or it does not fit."""
    if not profile or len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, _srgb_profile(), outputMode="RGB")
    except (ImageCms.PyCMSError, *HOSTILE_BYTES):
        return None


@cache
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
