"""What a file still shows that was cut off, or whose pixels stop early: the rows that were in it, and white for others.

Decoders fill what is missing with grey or black, which photos may show too. So a picture that ends so is decoded once
more, onto another ground or with another ending: rows that differ were not in the file. Two pictures at full size are
never held at the same time, because one may take all the memory that there is for a decode.
"""

from __future__ import annotations

import io
import zlib
from contextlib import suppress
from typing import IO

from PIL import Image, ImageChops, ImageFile

from .ends import LastScan, find_last_scan
from .header import HOSTILE_BYTES, MAX_BYTES, PhotoRefused, open_picture

MISSING = "missing"  # in a picture's `info`: the share of its rows that is missing; 0 where only sharpness may be
MOST_MISSING = 0.5
_FASTEST_DRAFT = 8  # the smallest fraction at which libjpeg decodes
_MOST_BANDS = 1024  # in which rows are compared

Found = tuple[ImageFile.ImageFile, float | None]
Colour = str | int | tuple[int, ...]


def load_what_is_there(image: ImageFile.ImageFile, file: IO[bytes], draft: int, *, is_loaded: bool) -> Found:
    """The picture of which `image` ends empty, or could not be loaded, and the share of its rows that is missing.

    None where nothing is missing. Raises PhotoRefused where more than half is.
    """
    if image.format in ("JPEG", "MPO"):
        if not is_loaded:
            image.close()
        found, missing = _load_jpeg(image if is_loaded else None, file, draft)
    else:
        found, missing = _load_rows(image, file)
    if missing is not None and missing > MOST_MISSING:
        raise PhotoRefused(
            "More than half of the photo is missing, as its file was cut off or is damaged. "
            "Save it again and send it once more.",
            "truncated",
        )
    return found, missing


def describe_missing(picture: Image.Image) -> str:
    """A sentence for the seller about what a decoded picture lacks; empty where it is whole."""
    missing = picture.info.get(MISSING)
    if missing is None:
        return ""
    if not missing:
        return "The file ends early, so the photo may be less sharp than it was. Send it again if you have all of it."
    return (
        f"{max(1, round(100 * missing))} % of the photo is missing, as its file was cut off or is damaged. "
        "Send it again if you have all of it."
    )


def _load_jpeg(loaded: ImageFile.ImageFile | None, file: IO[bytes], draft: int) -> Found:
    file.seek(0)
    data = file.read()
    scan = find_last_scan(data)
    if scan is None or (scan.is_ended and not scan.is_first):
        return loaded or _open_jpeg(data, draft), None
    # The first of several scans shows the whole picture.
    missing = _find_missing_share(scan) if scan.is_first else 0.0
    picture = loaded or _open_jpeg(scan.coded + scan.nonsense[0], draft)
    if missing:
        white = (0, 0, 0, 0) if picture.mode == "CMYK" else "white"
        picture.paste(white, (0, round((1 - missing) * picture.height), *picture.size))
    return picture, missing


def _find_missing_share(scan: LastScan) -> float | None:
    """The share of a JPEG's rows that follow what stands behind its only scan; None where none do."""
    first, second = (_open_jpeg(scan.coded + nonsense, _FASTEST_DRAFT) for nonsense in scan.nonsense)
    differing = ImageChops.difference(first, second).getbbox(alpha_only=False)
    return 1 - differing[1] / first.height if differing else None


def _open_jpeg(data: bytes, draft: int) -> ImageFile.ImageFile:
    picture = open_picture(io.BytesIO(data[:MAX_BYTES]))
    picture.draft(None, (max(1, picture.width // draft), max(1, picture.height // draft)))
    picture.load()
    return picture


def _load_rows(image: ImageFile.ImageFile, file: IO[bytes]) -> Found:
    """A PNG or GIF whose first decoding, also one that failed, is in `image`, which is closed."""
    image.tile = []
    ground, sums = _choose_ground(image), _sum_bands(image)
    mode, size, frame, pillows_ground = image.mode, image.size, _find_frame(image), find_pillows_ground(image)
    image.close()
    canvas = Image.new(mode, size, pillows_ground)
    canvas.paste(ground, frame)
    picture = open_picture(file)
    picture.im = canvas.im
    if picture.format == "GIF":
        picture._frame_transparency = None  # type: ignore[attr-defined]  # noqa: SLF001 - it would be painted over
    with suppress(*HOSTILE_BYTES):
        picture.load()
    picture.tile, picture.readonly = [], 0  # one that could not be loaded would be copied by the first change
    differing = [band for band, total in _sum_bands(picture).items() if sums.get(band) != total]
    for band in differing:
        picture.paste(ground, band)
    return picture, len(differing) / len(sums) if differing else None


def find_pillows_ground(image: Image.Image) -> int:
    """What Pillow lets a PNG or GIF be where nothing is decoded."""
    return image.info.get("transparency", 0) if image.format == "GIF" else 0


def _choose_ground(image: Image.Image) -> Colour:
    """White, or the lightest colour of a palette, that Pillow's own ground is not."""
    if image.mode == "P":
        palette, other = image.getpalette("RGB") or [], find_pillows_ground(image)
        entries = (entry for entry in range(len(palette) // 3) if entry != other)
        return max(entries, key=lambda entry: sum(palette[3 * entry : 3 * entry + 3]), default=int(other == 0))
    return 65535 if image.mode.startswith("I;16") else "white"


def _find_frame(image: Image.Image) -> tuple[int, int, int, int]:
    """The part of the canvas that a GIF's first frame covers; of other pictures all."""
    frame: tuple[int, int, int, int] | None = getattr(image, "dispose_extent", None)
    return frame or (0, 0, *image.size)


def _sum_bands(image: Image.Image) -> dict[tuple[int, int, int, int], int]:
    left, top, right, bottom = _find_frame(image)
    rows = -(-(bottom - top) // _MOST_BANDS)
    bands = [(left, start, right, min(start + rows, bottom)) for start in range(top, bottom, rows)]
    return {band: zlib.crc32(image.crop(band).tobytes()) for band in bands}
