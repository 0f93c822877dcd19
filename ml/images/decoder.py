"""Bytes to pixels. The same decode serves indexing and searching, so that equal photos give equal pixels.

Whatever colour mode and profile a picture has, it becomes RGB in sRGB, over white. AVIF and HEIF, whose decoders take
memory by what a file claims, and whatever takes much memory or time are decoded by these functions in another process.
"""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from PIL import Image, ImageFile

from ml.per_process import PerProcess

from .cut_off import MISSING, describe_missing, load_what_is_there
from .decoder_process import decode_apart, sniff_apart
from .flattening import flatten_to_srgb, uncover_canvas
from .header import (
    APART_BYTES,
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
    refuse_damaged_photo,
)
from .parts import Box, find_stored_part
from .segments import ARITHMETIC, count_scanned_layers, is_arithmetic

logger = logging.getLogger(__name__)

# A progressive JPEG has about ten scans, some encoders write twenty, and each goes through the picture's samples again:
# a thousand million in a second of the processor. A scan counts by its layers: one for each that has all samples, a
# quarter for one that has a quarter of them.
MAX_SCANNED_LAYERS = 100
MAX_SCANNED_PIXELS = 1_000_000_000
LONG_SCANNED_PIXELS = 100_000_000
PLAIN_SCANS = 3  # of one channel each, or one of all channels and those of thumbnails; not worth a look

CLEAN_SIDE = 512  # the longest side of the picture that is kept of an upload, so an upload is judged by it

# The fractions, as divisors of its sides, at which libjpeg decodes a picture.
_DRAFTS = (1, 2, 4, 8)
_large = PerProcess(threading.Lock)

# What uploads cost a web process beside its visitors: one photo that may be plain is looked at, others are not.
DECODES_AT_ONCE = 1
_decoding_places = PerProcess(lambda: threading.BoundedSemaphore(DECODES_AT_ONCE))

# Of which formats the rows that are there are shown; files of others are refused whatever they lack.
_SHOWN_IN_PART = ("JPEG", "MPO", "PNG", "GIF")
# What libjpeg gives for missing pixels: grey, also in CMYK, of which Pillow turns some channels round.
_EMPTY_JPEG = (127, 128)
# What makes RGB levels mean something else than sRGB over white.
_CHANGING = {"icc_profile", "coding", "transparency", "read_mask", "read_rows"}
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


def decode(data: bytes, max_side: int | None = None, box: Box | None = None) -> Image.Image:
    """The picture of `decode_with_header`, for whoever does not need its header."""
    return decode_with_header(data, max_side, box)[1]


def decode_file(path: Path, max_side: int | None = None) -> Image.Image:
    """The picture in a file, as `decode` gives it; the log says of which a part is missing.

    Raises: OSError, PhotoRefused.
    """
    with path.open("rb") as file:
        # One byte over the limit makes the decoder refuse, so no huge file needs to be read whole.
        picture = decode(file.read(MAX_BYTES + 1), max_side)
    if picture.info:
        logger.warning("%s: %s", path, describe_missing(picture))
    return picture


def sniff_header(file: IO[bytes]) -> Header:
    """Read the header of an open binary file, and leave it at its start.

    Raises:
        PhotoRefused: the file is no picture that `decode` would take; pixels may still be found damaged later.
        OSError: the file cannot be read.
    """
    file.seek(0)
    if _is_always_decoded_apart(file.read(PREFIX_BYTES)):
        file.seek(0)
        header = sniff_apart(file.read(MAX_BYTES + 1), CLEAN_SIDE)
    else:
        header = open_for_decoding(file, CLEAN_SIDE, header_only=True).header
    file.seek(0)
    return header


def decode_with_header(data: bytes, max_side: int | None = None, box: Box | None = None) -> tuple[Header, Image.Image]:
    """The header, and the first frame: an upright RGB picture in sRGB, white where it was transparent, no metadata.

    Args:
        max_side: the picture will be scaled down to this longest side, in pixels, so decoding may stop early: what
            comes back has a longest side of at least `max_side`, or is the whole picture; of a JPEG that is too large
            for that, the most that memory allows.
        box: the part that is wanted, of which `max_side` is said then.

    Raises:
        PhotoRefused: the bytes are no picture, or one that is too large, damaged or of a format that is not taken.
        OSError: this machine cannot decode now, which is not the picture's fault.
    """
    if _is_always_decoded_apart(data[:PREFIX_BYTES]):
        return decode_apart(data, max_side, box, hold_large_picture_lock)
    opened = open_for_decoding(io.BytesIO(data), max_side, box)
    if opened.is_costly:
        return decode_apart(data, max_side, box, hold_large_picture_lock)
    return opened.header, load_picture(opened)


def _is_always_decoded_apart(prefix: bytes) -> bool:
    return find_format_in_container(prefix) is not None


class Opened(NamedTuple):
    """A picture that may be decoded, and what will be done: `draft` and `reduction` divide its sides, the one while
    libjpeg decodes, the other before colours are converted. `box` names the part of it that is wanted."""

    image: ImageFile.ImageFile
    file: IO[bytes]
    header: Header
    box: Box | None
    draft: int
    reduction: int
    peak_bytes: int
    is_costly: bool


def open_for_decoding(
    file: IO[bytes], max_side: int | None, box: Box | None = None, *, header_only: bool = False
) -> Opened:
    """Open a picture in this process. Raises PhotoRefused, also where its pixels would cost too much."""
    image = open_picture(file, header_only=header_only)
    header = read_header(image)
    with refuse_damaged_photo():
        buffered = count_buffered_bytes(image, file) if header.format == "JPEG" else 0
        across, down = (box[2], box[3]) if box else (1, 1)
        longest = max(across * header.width, down * header.height)
        for draft in _list_drafts(header, longest, max_side):
            reduction = _choose_reduction(int(longest) // draft, max_side)
            peak = buffered + estimate_pixel_bytes(image, draft, reduction, across * down)
            if peak <= PEAK_BYTES:
                # Only what is kept until the last scan may have many; those of other files are found when pixels are.
                has_scans = header.format == "JPEG" and (buffered > 0 or not header_only)
                is_slow = has_scans and _judge_scans(image, file)
                return Opened(image, file, header, box, draft, reduction, peak, is_slow or peak >= APART_BYTES)
    raise PhotoRefused(
        f"The photo is too large to be opened here: {header.width:,} x {header.height:,} pixels. "
        "Save it smaller and send it again.",
        "too_many_pixels",
    )


def _judge_scans(image: ImageFile.ImageFile, file: IO[bytes]) -> bool:
    """Whether the scans of a JPEG take long. Raises PhotoRefused where they would take too long."""
    file.seek(0)
    data = file.read()
    # Counting some bytes takes no time, though metadata and a film behind the picture hold them by chance.
    if any(bytes([0xFF, marker]) in data for marker in ARITHMETIC) and is_arithmetic(data):
        raise PhotoRefused(
            "The JPEG is coded arithmetically. Save the photo again and send it once more.", "unsupported"
        )
    if data.count(b"\xff\xda") <= PLAIN_SCANS:
        return False
    pixels = image.width * image.height
    scanned = count_scanned_layers(data, image.layer)  # type: ignore[attr-defined]
    if scanned > MAX_SCANNED_LAYERS or scanned * pixels > MAX_SCANNED_PIXELS:
        raise PhotoRefused("The JPEG has too many scans. Save the photo again and send it once more.", "unsupported")
    return scanned * pixels > LONG_SCANNED_PIXELS


def _list_drafts(header: Header, longest: float, max_side: int | None) -> Sequence[int]:
    """The fractions to decode at, the best first: the next ones lose pixels, and are for what takes too much memory."""
    if header.format != "JPEG" or max_side is None:
        return _DRAFTS[:1]
    fitting = [draft for draft in _DRAFTS if draft * max_side <= longest]
    return _DRAFTS[max(0, len(fitting) - 1) :]


def _choose_reduction(longest: int, max_side: int | None) -> int:
    """By which whole factor to shrink before colours are converted; twice the wanted side stays, for quality."""
    return max(1, longest // (2 * max_side)) if max_side is not None else 1


def load_picture(opened: Opened) -> Image.Image:
    """Decode what was opened. Raises PhotoRefused where it is damaged."""
    with refuse_damaged_photo():
        image, missing = _load_rows(opened)
        if image.format == "GIF":
            uncover_canvas(image)
        turn = read_orientation(image)
        whole = 0, 0, *image.size
        part = find_stored_part(image, opened.box, turn) if opened.box or "crop" in image.info else whole
        is_plain = image.mode == "RGB" and not _CHANGING.intersection(image.info)
        if opened.reduction == 1 and is_plain:
            picture = image if part == whole else image.crop(part)
        else:
            picture = flatten_to_srgb(image, part, opened.reduction)
    picture = picture.transpose(_TURNS[turn]) if turn in _TURNS else picture
    # Whoever saves this must not write what was read, which has been applied.
    picture.info = {} if missing is None else {MISSING: missing}
    return picture


def _load_rows(opened: Opened) -> tuple[ImageFile.ImageFile, float | None]:
    """The loaded picture, and the share of its rows that the file lacks; None, as nearly always, where it is whole."""
    image = opened.image
    if "read_rows" in image.info:
        return image, None
    # By default Pillow takes the interpreter's lock again for every 64 KB, and threads would wait for it each time.
    image.decodermaxblock = MAX_BYTES
    if opened.draft > 1:
        # A draft makes libjpeg decode at a fraction of the size, in less time and memory.
        image.draft(None, (max(1, image.width // opened.draft), max(1, image.height // opened.draft)))
    if image.format not in _SHOWN_IN_PART:
        image.load()
        return image, None
    is_loaded = False
    try:
        image.load()
        is_loaded = True
    except HOSTILE_BYTES as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            raise
    if is_loaded and not _ends_empty(image):
        return image, None
    return load_what_is_there(image, opened.file, opened.draft, is_loaded=is_loaded)


def _ends_empty(image: Image.Image) -> bool:
    """Whether the last row of a loaded picture is what decoders leave where there was nothing."""
    extremes = image.crop((0, image.height - 1, image.width, image.height)).getextrema()
    # Of one channel Pillow gives a pair, of several a pair for each.
    levels = cast("tuple[tuple[int, int], ...]", extremes if isinstance(extremes[0], tuple) else (extremes,))
    empty = _EMPTY_JPEG if image.format in ("JPEG", "MPO") else (0, image.info.get("transparency"))
    return all(low == high and low in empty for low, high in levels)


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
