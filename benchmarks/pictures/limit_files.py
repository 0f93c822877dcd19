"""The largest and the costliest file of each format that the limits of `ml.images` let in, made here."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from ml.images.decoder import MAX_SCANNED_PIXELS
from ml.images.header import MAX_BYTES, PEAK_BYTES

SHARE = 0.93  # of the pixels that the memory alone would let in; the rest is for shrinking and for metadata
PHONE = 16320, 12240  # the largest pictures that phones make, of 200 megapixels
# The passes of an interlaced PNG: first column and row, and the steps of both.
PASSES = (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)


class Largest(NamedTuple):
    """A sort of file, what its decoder takes in bytes a pixel, and how a square one of some side is made."""

    name: str
    pixel_bytes: float
    make: Callable[[int], bytes]

    def make_largest(self) -> tuple[float, bytes]:
        """Megapixels and the file; fewer pixels where it would have too many bytes."""
        side = int(math.sqrt(SHARE * PEAK_BYTES / self.pixel_bytes)) if self.pixel_bytes else 0
        while len(data := self.make(side)) > MAX_BYTES:
            side = int(side * 0.9)
        width, height = (side, side) if side else PHONE
        return width * height / 1e6, data


def encode(image: Image.Image, fmt: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, fmt, **options)
    return out.getvalue()


def draw_noise(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Soft shapes with grain, of a quarter of the size, so that drawing takes less time than decoding."""
    small = size[0] // 4 + 1, size[1] // 4 + 1
    rng, down, across = np.random.default_rng(1), *np.ogrid[: small[1], : small[0]]
    shapes = (np.sin(across / 80) + np.cos(down / 50)) * 50 + 110
    levels = [(shapes + rng.integers(0, 24, shapes.shape)).astype(np.uint8) for _ in Image.new(mode, (1, 1)).getbands()]
    image = Image.merge(mode, [Image.fromarray(channel) for channel in levels])
    return image.resize(size, Image.Resampling.NEAREST)


def make_jpeg_of_many_scans(side: int) -> bytes:
    """A grey one whose last scan is repeated until all scans together go through as many samples as they may."""
    data = encode(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    start, scans = data.rindex(b"\xff\xda"), data.count(b"\xff\xda")
    return data[:start] + data[start:-2] * (1 + MAX_SCANNED_PIXELS // side**2 - scans) + data[-2:]


def make_png(side: int, depth: int, kind: int, channels: int, *, interlaced: bool) -> bytes:
    """A PNG whose rows are filtered by Paeth, which takes longest, and so alike that they take few bytes."""
    row = b"\4" + bytes(range(1, 256)) * (side * channels * depth // 8 // 255 + 1)
    compressor, parts = zlib.compressobj(1), []
    for x, y, right, down in PASSES if interlaced else ((0, 0, 1, 1),):
        width, height = -(-(side - x) // right), -(-(side - y) // down)
        parts += [compressor.compress(row[: 1 + width * channels * depth // 8]) for _ in range(height)]
    head = struct.pack(">IIBBBBB", side, side, depth, kind, 0, 0, interlaced)
    chunks = (b"IHDR", head), (b"IDAT", b"".join([*parts, compressor.flush()])), (b"IEND", b"")
    written = [len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4) for name, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def _square(fmt: str, mode: str = "RGB", **options: object) -> Callable[[int], bytes]:
    return lambda side: encode(draw_noise((side, side), mode), fmt, **options)


def _plain(fmt: str, level: int) -> Callable[[int], bytes]:
    """Of one level all over, which decoders also leave where rows are missing."""
    return lambda side: encode(Image.new("RGB", (side, side), (level,) * 3), fmt)


def _png(depth: int, kind: int, channels: int, *, interlaced: bool = False) -> Callable[[int], bytes]:
    return lambda side: make_png(side, depth, kind, channels, interlaced=interlaced)


def _make_heic(side: int) -> bytes:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return encode(draw_noise((side, side)), "HEIF", quality=50)


KINDS = (
    Largest("JPEG of one scan", 0, lambda _: encode(draw_noise(PHONE), "JPEG", quality=80)),
    Largest("JPEG, progressive, 4:2:0", 3, _square("JPEG", quality=80, progressive=True)),
    Largest("JPEG, progressive, 4:4:4", 6, _square("JPEG", quality=85, progressive=True, subsampling=0)),
    Largest("JPEG, progressive, CMYK", 8, _square("JPEG", "CMYK", quality=80, progressive=True)),
    Largest("JPEG, grey all over", 4, _plain("JPEG", 128)),
    Largest("JPEG of many scans", 3, make_jpeg_of_many_scans),
    Largest("HEIC, 8 bits, one piece", 5, _make_heic),
    Largest("AVIF", 10, _square("AVIF", quality=70, speed=10)),
    Largest("AVIF, transparent", 18, _square("AVIF", "RGBA", quality=70, speed=10)),
    Largest("WebP with loss", 4, _square("WEBP", quality=50, method=0)),
    Largest("WebP without loss", 8, _square("WEBP", lossless=True, method=0, quality=0)),
    Largest("WebP, transparent", 9, _square("WEBP", "RGBA", quality=50, method=0)),
    Largest("PNG, 8 bits", 4, _png(8, 2, 3)),
    Largest("PNG, black all over", 4, _plain("PNG", 0)),
    Largest("PNG, 16 bits, interlaced", 9, _png(16, 6, 4, interlaced=True)),
    Largest("PNG, grey", 1, _png(8, 0, 1)),
    Largest("PNG, 16 bits", 8, _png(16, 2, 3)),
    Largest("PNG, grey, 16 bits, interlaced", 4, _png(16, 0, 1, interlaced=True)),
    Largest("GIF", 1.6, lambda side: encode(draw_noise((side, side), "L").quantize(16), "GIF")),
)
