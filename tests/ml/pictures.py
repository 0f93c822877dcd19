"""Pictures with known corners, so that a wrong rotation, colour or background shows."""

import io
import random
import zlib
from pathlib import Path
from typing import cast

from PIL import Image, ImageDraw

FIXTURES = Path(__file__).parent / "fixtures"
SHARED_PHOTOS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "clothing" / "images"

RED, GREEN, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)
UPRIGHT = (RED, GREEN, BLUE, YELLOW)


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """Red, green over blue, yellow."""
    image = Image.new("RGB", (width, height), RED)
    draw = ImageDraw.Draw(image)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), GREEN)
    draw.rectangle((0, height // 2, width // 2 - 1, height), BLUE)
    draw.rectangle((width // 2, height // 2, width, height), YELLOW)
    return image


def corners(image: Image.Image) -> list[tuple[int, int, int]]:
    """The middle of each quarter: top left, top right, bottom left, bottom right."""
    w, h = image.size
    pixels = (image.getpixel((w * x // 4, h * y // 4)) for x, y in ((1, 1), (3, 1), (1, 3), (3, 3)))
    return [cast("tuple[int, int, int]", pixel) for pixel in pixels]


def assert_corners(image: Image.Image, expected=UPRIGHT, tolerance: int = 12) -> None:
    assert image.mode == "RGB"
    for found, wanted in zip(corners(image), expected, strict=True):
        assert all(abs(a - b) <= tolerance for a, b in zip(found, wanted, strict=True)), corners(image)


def encode(image: Image.Image, fmt: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def claim_png(width: int, height: int) -> bytes:
    """The header of a PNG, and nothing behind it."""
    header = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + b"\x08\x06\0\0\0"
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4) + b"\0\0\1\0IDAT"


def scene(seed: int, size: tuple[int, int] = (300, 400)) -> Image.Image:
    """A drawn photo: shapes of random colours over a random background."""
    rng = random.Random(seed)
    image = Image.new("RGB", size, _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        box = (x, y, x + rng.randrange(20, 160), y + rng.randrange(20, 160))
        rng.choice((draw.ellipse, draw.rectangle))(box, fill=_colour(rng), outline=_colour(rng), width=5)
    return image


def _colour(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)
