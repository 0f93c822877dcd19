"""GIF files whose first frame does not cover the canvas, or reaches outside it."""

from __future__ import annotations

import struct

from PIL import Image

from tests.ml.images.made.picture import GREEN, RED, WHITE, YELLOW, Colour, Made, encode

COLOURS = [*RED, *GREEN, *YELLOW, 0, 0, 0]
LOCAL = [*GREEN, *RED, *YELLOW, 0, 0, 0]
INTERLACED, WITH_PALETTE = 0x40, 0x81


def gif(canvas: tuple[int, int], frame: tuple[int, int, int, int], flags: int = 0, extension: bytes = b"") -> bytes:
    """One frame at x, y, of a size: its first colour, and its second in the top left quarter."""
    x, y, width, height = frame
    picture = Image.new("P", (width, height), 0)
    picture.putpalette(COLOURS)
    picture.paste(1, (0, 0, width // 2, height // 2))
    head = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0xF1, 1, 0) + bytes(COLOURS)
    descriptor = b"," + struct.pack("<HHHHB", x, y, width, height, flags)
    return head + extension + descriptor + (bytes(LOCAL) if flags & 0x80 else b"") + _pixels_of(picture, flags) + b";"


def _pixels_of(picture: Image.Image, flags: int) -> bytes:
    data = encode(picture, "GIF", interlace=bool(flags & INTERLACED))
    at = data.index(b",")
    table = 3 << ((data[at + 9] & 7) + 1) if data[at + 9] & 0x80 else 0
    return data[at + 10 + table : -1]


def transparent(index: int) -> bytes:
    return b"!\xf9\4\1\0\0" + bytes([index]) + b"\0"


def gifs() -> dict[str, Made]:
    inside, canvas = (15, 10, 30, 20), (60, 40)
    around: dict[tuple[int, int], Colour] = {(2, 2): WHITE, (58, 38): WHITE, (14, 10): WHITE, (45, 29): WHITE}
    shown: dict[tuple[int, int], Colour] = {(15, 10): GREEN, (44, 29): RED}
    words = b"!\xfe\x20" + b"<!DOCTYPE html><html><body>".ljust(32) + b"\0"
    return {
        "small-frame.gif": Made(gif(canvas, inside), around | shown, canvas),
        "small-interlaced.gif": Made(gif(canvas, inside, INTERLACED), around | shown, canvas),
        "small-local.gif": Made(gif(canvas, inside, WITH_PALETTE), around | {(15, 10): RED, (44, 29): GREEN}, canvas),
        "small-transparent.gif": Made(
            gif(canvas, inside, 0, transparent(1)), around | {(15, 10): WHITE, (44, 29): RED}, canvas
        ),
        "small-without-transparent.gif": Made(gif(canvas, inside, 0, transparent(2)), around | shown, canvas),
        "outside.gif": Made(
            gif(canvas, (45, 30, 30, 20)), {(2, 2): WHITE, (46, 31): GREEN, (74, 49): RED, (74, 2): WHITE}, (75, 50)
        ),
        "larger-than-canvas.gif": Made(gif(canvas, (0, 0, 90, 60)), {(2, 2): GREEN, (89, 59): RED}, (90, 60)),
        "words-in-comment.gif": Made(gif(canvas, (0, 0, *canvas), 0, words), {(2, 2): GREEN, (58, 38): RED}, canvas),
    }
