"""AVIF and HEIC files: colours in numbers, a part that is shown, turns, and words in their metadata."""

from __future__ import annotations

import struct

from PIL import Image
from pillow_heif import register_heif_opener

from tests.ml.images.made.jpeg import WORDS
from tests.ml.images.made.picture import BLUE, GREEN, RED, YELLOW, Made, corner_pixels, encode, quarters
from tests.ml.images.made.png import SWAPPED, THROUGH_SWAPPED

TURNED = corner_pixels(BLUE, RED, YELLOW, GREEN, size=(64, 96))
# As Chromium 156 shows them.
WIDE = corner_pixels((240, 0, 0), (0, 173, 33), (33, 61, 207), (244, 220, 0))
CODED = {
    "p3": (12, 13, WIDE),
    "bt709": (1, 1, corner_pixels()),
    "bt2020": (9, 14, corner_pixels((255, 0, 0), (0, 179, 20), (0, 60, 208), (255, 219, 0))),
    "linear": (1, 8, corner_pixels((239, 111, 95), (110, 213, 132), (110, 134, 229), (248, 239, 110))),
    "pq": (9, 16, corner_pixels((255, 0, 0), (0, 242, 0), (0, 0, 255), (255, 177, 0))),
    "hlg": (9, 18, corner_pixels((255, 0, 0), (0, 153, 10), (0, 41, 176), (255, 196, 0))),
    "unknown": (2, 2, corner_pixels()),
}


def encode_avif(**options) -> bytes:
    return encode(quarters(), "AVIF", quality=95, subsampling="4:4:4", **options)


def encode_heic(size: tuple[int, int] = (96, 64), **options) -> bytes:
    register_heif_opener(thumbnails=False)
    return encode(quarters(size), "HEIF", quality=95, chroma=444, **options)


def with_numbers(data: bytes, primaries: int, transfer: int) -> bytes:
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def with_clean_aperture(data: bytes, *numbers: int) -> bytes:
    """Width, height, and how far the middle is moved right and down, each with a denominator."""
    return with_property(data, struct.pack(">I4s8i", 40, b"clap", *numbers))


def with_turn(data: bytes, quarters_to_left: int) -> bytes:
    return with_property(data, struct.pack(">I4sB", 9, b"irot", quarters_to_left))


def with_property(data: bytes, box: bytes) -> bytes:
    """Add a property to the first item, and move all that comes behind it."""
    ipco = data.index(b"ipco") - 4
    end = ipco + int.from_bytes(data[ipco : ipco + 4])
    count, at = 0, ipco + 8
    while at < end:
        count, at = count + 1, at + int.from_bytes(data[at : at + 4])
    # Behind ipma's head are its version, the number of items, and the first item's id.
    links = data.index(b"ipma", end) + 4 + 4 + 4 + 2
    behind = links + 1 + data[links]
    linked = bytes([data[links] + 1]) + data[links + 1 : behind] + bytes([0x81 + count])
    grown = bytearray(data[:end] + box + data[end:links] + linked + data[behind:])
    for kind, more in ((b"ipco", len(box)), (b"ipma", 1), (b"iprp", len(box) + 1), (b"meta", len(box) + 1)):
        at = grown.index(kind) - 4
        grown[at : at + 4] = (int.from_bytes(grown[at : at + 4]) + more).to_bytes(4)
    return _move_items(grown, len(box) + 1)


def _move_items(data: bytearray, by: int) -> bytes:
    """Every offset of iloc, of the widths that encoders write."""
    at = data.index(b"iloc") + 4
    version, offset_width, length_width, base_width = data[at], data[at + 4] >> 4, data[at + 4] & 15, data[at + 5] >> 4
    items, at = int.from_bytes(data[at + 6 : at + 8]), at + 8
    for _ in range(items):
        at += (4 if version == 0 else 6) + base_width
        extents, at = int.from_bytes(data[at : at + 2]), at + 2
        for _ in range(extents):
            data[at : at + offset_width] = (int.from_bytes(data[at : at + offset_width]) + by).to_bytes(offset_width)
            at += offset_width + length_width
    return bytes(data)


def orientation(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def coded_colours(suffix: str, plain: bytes) -> dict[str, Made]:
    return {
        f"numbers-{name}.{suffix}": Made(with_numbers(plain, primaries, transfer), pixels, tolerance=9)
        for name, (primaries, transfer, pixels) in CODED.items()
    }


def avifs() -> dict[str, Made]:
    with_profile, middle = encode_avif(icc_profile=SWAPPED), (48, 1, 32, 1, 0, 1, 0, 1)
    whole = {
        "profile-before-numbers.avif": (with_numbers(with_profile, 12, 13), THROUGH_SWAPPED),
        "words-in-xmp.avif": (encode_avif(xmp=WORDS), corner_pixels()),
        "no-numbers.avif": (encode_avif().replace(b"colrnclx", b"freenclx"), corner_pixels()),
        "aperture-outside.avif": (with_clean_aperture(encode_avif(), 48, 1, 32, 1, 90, 1, 0, 1), corner_pixels()),
    }
    # Chromium passes over an aperture that does not begin at the top left; libheif and the standard do not.
    parts = {
        "aperture.avif": Made(
            with_clean_aperture(encode_avif(), *middle), corner_pixels(size=(48, 32)), (48, 32), tolerance=5
        ),
        "aperture-right.avif": Made(
            with_clean_aperture(encode_avif(), 40, 1, 64, 1, 28, 1, 0, 1),
            {(20, 16): GREEN, (20, 48): YELLOW},
            (40, 64),
            tolerance=5,
        ),
        "aperture-turned.avif": Made(
            with_clean_aperture(encode_avif(exif=orientation(6)), 96, 1, 32, 1, 0, 1, 16, 1),
            {(16, 24): BLUE, (16, 72): YELLOW},
            (32, 96),
            tolerance=5,
        ),
        "turned.avif": Made(encode_avif(exif=orientation(6)), TURNED, (64, 96), tolerance=5),
    }
    plain = {name: Made(data, pixels, tolerance=5) for name, (data, pixels) in whole.items()}
    return coded_colours("avif", encode_avif()) | plain | parts


def heics() -> dict[str, Made]:
    wide = encode_heic((160, 128))
    with_profile = encode_heic(icc_profile=SWAPPED)
    part = with_clean_aperture(wide, 80, 1, 64, 1, 0, 1, 0, 1)
    others = {
        "aperture.heic": Made(part, corner_pixels(size=(80, 64)), (80, 64), tolerance=5),
        "turned.heic": Made(with_turn(encode_heic(), 3), TURNED, (64, 96), tolerance=5),
        # EXIF repeats what the container says, and says nothing alone.
        "turned-twice.heic": Made(with_turn(encode_heic(exif=orientation(6)), 3), TURNED, (64, 96), tolerance=5),
        "exif-alone.heic": Made(encode_heic(exif=orientation(6)), corner_pixels(), tolerance=5),
        "profile.heic": Made(with_profile, THROUGH_SWAPPED, tolerance=5),
        "words-in-xmp.heic": Made(encode_heic(xmp=WORDS), corner_pixels(), tolerance=5),
    }
    return coded_colours("heic", encode_heic()) | others
