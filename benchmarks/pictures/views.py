"""What one decoder makes of a picture: its upright size and its pixels over white in sRGB, or why it refuses it."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.images import PhotoRefused, decode, sniff_header
from ml.images.header import PREFIX_BYTES, identify_format

Pixels = NDArray[np.uint8]
Size = tuple[int, int]

LONGEST_SIDE = 1024  # of what is compared; every decoder's picture is shrunk alike, so what is equal stays equal
SHOWN_SIDE = 200  # of what is kept for a person to look at
LIMITS = ("too_large", "too_many_pixels")


@dataclass(frozen=True)
class View:
    """Width and height of the upright picture, and its pixels: of a large one, the means of square blocks.

    `warning`: what its decoder complained of; whoever refuses such a file is not wrong.
    """

    size: Size
    pixels: Pixels
    warning: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why a decoder shows nothing; `by_rule` where it could, but the product does not take such pictures."""

    reason: str
    by_rule: bool = False


Seen = View | Refusal


def choose_block(size: Size) -> int:
    """How many pixels wide the blocks are whose means are compared."""
    return -(-max(size) // LONGEST_SIDE)


def make_view(image: Image.Image) -> View:
    """A view of an upright RGB picture; pixels at its right and bottom edges that fill no block are left out."""
    block = choose_block(image.size)
    whole = (max(1, image.width // block) * block, max(1, image.height // block) * block)
    shrunk = image.crop((0, 0, min(whole[0], image.width), min(whole[1], image.height))).reduce(block)
    return View(image.size, np.asarray(shrunk))


def shrink(seen: Seen) -> Seen:
    """What is left of a view once it has been compared: enough for a sheet."""
    if isinstance(seen, Refusal) or (factor := max(seen.pixels.shape[:2]) // SHOWN_SIDE) < 2:
        return seen
    return replace(seen, pixels=np.asarray(Image.fromarray(seen.pixels).reduce(factor)))


def name_format(data: bytes) -> str:
    """The format that a file announces, or "other" for one that is not taken."""
    try:
        return identify_format(data[:PREFIX_BYTES])
    except PhotoRefused:
        return "other"


def view_ours(data: bytes) -> Seen:
    """What this project makes of a file, whole and at full size; its header must say the same size."""
    try:
        header, image = sniff_header(io.BytesIO(data)), decode(data)
        if image.size != (header.width, header.height):
            return Refusal(f"the header says {header.width} x {header.height}, the picture is {image.size}")
        return make_view(image)
    except PhotoRefused as refusal:
        by_rule = refusal.code in LIMITS or name_format(data) == "other"
        return Refusal(f"{refusal.code}: {refusal.reason}", by_rule)
    except Exception as error:  # noqa: BLE001 - whatever else the decoder raises is a finding too
        return Refusal(f"crashed: {error!r}")
