"""PNG files with optional chunks of every kind: large, broken, late; and the ways to say what is transparent."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import numpy as np
from PIL import ImageCms

from tests.ml.images.made.picture import BLUE, GREEN, RED, WHITE, YELLOW, Colour, Made, corner_pixels, quarters

Chunk = tuple[bytes, bytes]
GREY, COLOUR, PALETTE = 0, 2, 3
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# In this profile the first channel is green and the second red.
SWAPPED = SRGB.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")
THROUGH_SWAPPED = corner_pixels((40, 220, 30), (170, 40, 60), (60, 40, 200), (220, 240, 40))


def chunk(kind: bytes, body: bytes, checksum: bytes | None = None) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + (checksum or struct.pack(">I", zlib.crc32(kind + body)))


def png(pixels, kind: int = COLOUR, depth: int = 8, before: Iterable[bytes] = (), after: Iterable[bytes] = ()) -> bytes:
    """A PNG whose chunks stand before and after its pixels; rows of less than 8 bits a pixel come packed."""
    rows = np.asarray(pixels)
    width, height = rows.shape[1] * 8 // depth if depth < 8 else rows.shape[1], rows.shape[0]
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [chunk(b"IHDR", header), *before, chunk(b"IDAT", data), *after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def profile_chunk(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile))


def gamma_chunk(gamma: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", gamma))


def orientation_chunk(turn: int) -> bytes:
    return chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([turn]) + bytes(6))


TEXT = zlib.compress(b"<rdf:li>adobe:docid:photoshop:0000</rdf:li>\n" * 40_000)
LARGE_TEXTS = {
    "ztxt": chunk(b"zTXt", b"Comment\0\0" + TEXT),
    "itxt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + TEXT),
}
P3 = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
BROKEN = {
    "text": chunk(b"tEXt", b"Comment\0hello", b"\1\2\3\4"),
    "profile": chunk(b"iCCP", b"icc\0\0" + zlib.compress(SWAPPED), b"\1\2\3\4"),
    "no-profile": profile_chunk(bytes(300)),
    "gamma": chunk(b"gAMA", struct.pack(">I", 100_000), b"\1\2\3\4"),
    "short-gamma": chunk(b"gAMA", b"\0\1"),
    "chromaticities": gamma_chunk(100_000) + chunk(b"cHRM", bytes(32)),
    "transparency": chunk(b"tRNS", struct.pack(">HHH", *RED), b"\1\2\3\4"),
    "short-transparency": chunk(b"tRNS", b"\0\1"),
    "orientation": chunk(b"eXIf", orientation_chunk(6)[8:-4], b"\1\2\3\4"),
    "density": chunk(b"pHYs", bytes(4)),
    "private": chunk(b"prVt", bytes(9), b"\1\2\3\4"),
    "cicp": chunk(b"cICP", b"\x0c\x0d\0"),
    "words": chunk(b"tEXt", b"Comment\0<!DOCTYPE html><html><body><script>"),
}


def pngs_of_optional_chunks() -> dict[str, Made]:
    """None of these chunks changes how the picture looks."""
    stored = quarters()
    files = {f"large-{name}.png": png(stored, before=[text]) for name, text in LARGE_TEXTS.items()}
    files |= {f"broken-{name}.png": png(stored, before=[bad]) for name, bad in BROKEN.items()}
    files |= {f"late-{name}.png": png(stored, after=[text]) for name, text in (BROKEN | LARGE_TEXTS).items()}
    files |= {
        "large-profile.png": png(stored, before=[profile_chunk(SRGB + bytes(1_500_000))]),
        "late-gamma.png": png(stored, after=[gamma_chunk(100_000)]),
        "no-end.png": png(stored)[:-12],
        "cut-end.png": png(stored)[:-6],
        "behind-end.png": png(stored) + bytes(40),
        "two-densities.png": png(stored, before=[chunk(b"pHYs", struct.pack(">IIB", 2835, 0, 1))] * 2),
        "empty-pixels.png": png(stored, before=[chunk(b"IDAT", b"")]),
        "gamma-of-srgb.png": png(stored, before=[gamma_chunk(45_455)]),
        "gamma-almost-of-srgb.png": png(stored, before=[gamma_chunk(47_000)]),
        "srgb-before-gamma.png": png(stored, before=[chunk(b"sRGB", b"\0"), gamma_chunk(100_000), P3]),
    }
    return {name: Made(data, corner_pixels()) for name, data in files.items()}


def pngs_of_transparency() -> dict[str, Made]:
    """Bands of all levels, of which one is transparent, at each depth; and colours, and a palette."""
    files = {}
    for depth, level in ((1, 0), (1, 1), (2, 1), (2, 2), (4, 3), (4, 15), (8, 0x33)):
        most = (1 << depth) - 1
        # Levels that depth does not have bits for are cut to it.
        key = chunk(b"tRNS", struct.pack(">H", level | (0x100 if depth > 1 else 0)))
        levels = np.repeat(np.array([0, level, most, most - level, level, 0, level, most], np.uint8), 16)
        bits = np.unpackbits(levels[:, None], axis=1, count=8)[:, 8 - depth :].reshape(1, -1)
        rows = np.repeat(np.packbits(bits, axis=1), 16, axis=0)
        shown = {(x * 16 + 8, 8): _grey(int(levels[x * 16]), level, most) for x in range(8)}
        files[f"key-{depth}bit-{level}.png"] = Made(png(rows, GREY, depth, [key]), shown, (128, 16))
    return files | _pngs_of_colour_keys()


def _grey(level: int, key: int, most: int) -> Colour:
    return WHITE if level == key else (level * 255 // most,) * 3


def _pngs_of_colour_keys() -> dict[str, Made]:
    wide = np.full((64, 96, 3), (0x1234, 0x5678, 0x9ABC), ">u2")
    wide[:, 48:, 0] += 1
    grey = np.full((64, 96), 0x4000, ">u2")
    grey[:, 48:] += 1
    indices = np.repeat(np.repeat(np.array([[0, 1], [2, 3]], np.uint8), 32, axis=0), 48, axis=1)
    palette = chunk(b"PLTE", bytes([*RED, *GREEN, *BLUE, *YELLOW]))
    wide_key, grey_key = chunk(b"tRNS", wide[0, 0].tobytes()), chunk(b"tRNS", b"\x40\0")
    shown, dark = (0x12, 0x56, 0x9A), (0x40,) * 3
    key = chunk(b"tRNS", struct.pack(">HHH", *RED))
    first, second = chunk(b"tRNS", bytes([0, 255])), chunk(b"tRNS", bytes([255, 0, 255, 255, 9, 9]))
    files = {
        "key-colour.png": (png(quarters(), before=[key]), (WHITE, GREEN, BLUE, YELLOW)),
        "key-16bit-colour.png": (png(wide, depth=16, before=[wide_key]), (WHITE, shown, WHITE, shown)),
        "key-16bit-grey.png": (png(grey, GREY, 16, before=[grey_key]), (WHITE, dark, WHITE, dark)),
        "key-palette.png": (png(indices, PALETTE, before=[palette, first]), (WHITE, GREEN, BLUE, YELLOW)),
        "key-long-palette.png": (png(indices, PALETTE, before=[palette, second]), (RED, WHITE, BLUE, YELLOW)),
        "key-before-palette.png": (png(indices, PALETTE, before=[first, palette]), (RED, GREEN, BLUE, YELLOW)),
    }
    return {name: Made(data, corner_pixels(*colours)) for name, (data, colours) in files.items()}


def pngs_of_coded_colours() -> dict[str, Made]:
    """Values as Chromium 156 shows the same files."""
    stored, grey = quarters(), quarters().convert("L")

    def cicp(primaries: int, transfer: int, *rest: int) -> bytes:
        return chunk(b"cICP", bytes([primaries, transfer, *(rest or (0, 1))]))

    wide = corner_pixels((240, 0, 0), (0, 173, 36), (34, 61, 208), (244, 219, 0))
    light = corner_pixels((239, 110, 96), (110, 213, 133), (110, 133, 229), (248, 239, 110))
    bright = corner_pixels((255, 2, 1), (7, 234, 21), (3, 11, 255), (255, 206, 1))
    files = {
        "gamma-1.png": (png(stored, before=[gamma_chunk(100_000)]), light),
        "gamma-0.png": (png(stored, before=[gamma_chunk(0)]), corner_pixels()),
        "gamma-0.3.png": (
            png(stored, before=[gamma_chunk(30_000)]),
            corner_pixels((205, 7, 3), (7, 139, 22), (7, 22, 178), (233, 205, 7)),
        ),
        "gamma-1-p3.png": (
            png(stored, before=[gamma_chunk(100_000), P3]),
            corner_pixels((255, 100, 89), (58, 216, 124), (104, 134, 236), (250, 239, 83)),
        ),
        "gamma-1-grey.png": (
            png(grey, GREY, before=[gamma_chunk(100_000)]),
            corner_pixels((163,) * 3, (182,) * 3, (143,) * 3, (232,) * 3),
        ),
        "chromaticities-alone.png": (png(stored, before=[P3]), corner_pixels()),
        "profile-before-gamma.png": (
            png(stored, before=[gamma_chunk(100_000), profile_chunk(SWAPPED)]),
            THROUGH_SWAPPED,
        ),
        "profile-before-srgb.png": (
            png(stored, before=[chunk(b"sRGB", b"\0"), profile_chunk(SWAPPED)]),
            THROUGH_SWAPPED,
        ),
        "gamma-after-no-profile.png": (png(stored, before=[BROKEN["no-profile"], gamma_chunk(100_000)]), light),
        "cicp-p3.png": (png(stored, before=[cicp(12, 13)]), wide),
        "cicp-before-profile.png": (png(stored, before=[profile_chunk(SWAPPED), cicp(12, 13)]), wide),
        "cicp-srgb-before-gamma.png": (png(stored, before=[gamma_chunk(100_000), cicp(1, 13)]), corner_pixels()),
        "cicp-narrow.png": (png(stored, before=[cicp(12, 13, 0, 0)]), corner_pixels()),
        "cicp-unknown.png": (png(stored, before=[cicp(2, 2)]), corner_pixels()),
        "cicp-bt709.png": (
            png(stored, before=[cicp(1, 1)]),
            corner_pixels((218, 28, 18), (28, 165, 49), (28, 49, 197), (239, 218, 28)),
        ),
        "cicp-bt2020.png": (
            png(stored, before=[cicp(9, 13)]),
            corner_pixels((255, 0, 0), (0, 179, 25), (0, 59, 210), (255, 218, 0)),
        ),
        "cicp-dci-p3.png": (
            png(stored, before=[cicp(11, 13)]),
            corner_pixels((234, 0, 0), (0, 173, 36), (34, 59, 208), (243, 220, 0)),
        ),
        "cicp-linear.png": (png(stored, before=[cicp(1, 8)]), light),
        "cicp-pq.png": (png(stored, before=[cicp(1, 16)]), bright),
        "cicp-pq-bt2020.png": (
            png(stored, before=[cicp(9, 16)]),
            corner_pixels((255, 0, 0), (0, 242, 0), (0, 0, 255), (255, 174, 0)),
        ),
        "cicp-hlg-bt2020.png": (
            png(stored, before=[cicp(9, 18)]),
            corner_pixels((255, 0, 0), (0, 153, 15), (0, 40, 177), (255, 194, 0)),
        ),
        "cicp-hlg.png": (
            png(stored, before=[cicp(1, 18)]),
            corner_pixels((225, 30, 21), (31, 146, 49), (26, 42, 170), (252, 210, 27)),
        ),
        "cicp-pq-grey.png": (
            png(grey, GREY, before=[cicp(1, 16)]),
            corner_pixels((66,) * 3, (112,) * 3, (36,) * 3, (255,) * 3),
        ),
    }
    return {name: Made(data, pixels) for name, (data, pixels) in files.items()}


def pngs() -> dict[str, Made]:
    turned = {
        "orientation-6.png": png(quarters(), before=[orientation_chunk(6), orientation_chunk(3)]),
        "late-orientation.png": png(quarters(), after=[orientation_chunk(6)]),
    }
    colours = corner_pixels(BLUE, RED, YELLOW, GREEN, size=(64, 96))
    upright = {name: Made(data, colours, (64, 96)) for name, data in turned.items()}
    return pngs_of_optional_chunks() | pngs_of_transparency() | pngs_of_coded_colours() | upright
