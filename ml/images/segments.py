"""JPEG segments: those that are too short for what they say they are, with which Pillow cannot open a file, though
browsers can; and those that say what a file costs to decode."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from itertools import islice
from typing import IO

from .ends import MAX_PARTS, START_OF_SCAN, walk_segments

# Frames coded arithmetically, in ten times the time; cameras do not write them, nor do browsers show them.
ARITHMETIC = tuple(range(0xC9, 0xD0))
_DEFINES_ARITHMETIC = 0xCC

# The mark of a segment, if its length, which counts itself, leaves no room for what follows these words.
_SHORT = re.compile(
    rb"\xff(?:\xe0(?=\0[\x06-\x08]JFIF)|\xe2(?=\0[\x0e\x0f]ICC_PROFILE\0)|\xee(?=\0[\x07\x08]Adobe))", re.DOTALL
)
_COMMENT = b"\xff\xfe"


def pass_over_short_segments(file: IO[bytes]) -> IO[bytes]:
    """A copy of a JPEG in which such segments are comments. Coded pixels never hold the mark of one."""
    file.seek(0)
    return io.BytesIO(_SHORT.sub(_COMMENT, file.read()))


def is_arithmetic(data: bytes) -> bool:
    """Whether a JPEG's pixels are coded arithmetically. Metadata and thumbnails may hold such marks by chance."""
    markers = (segment.marker for segment in islice(walk_segments(data, 0), MAX_PARTS))
    return any(marker in ARITHMETIC and marker != _DEFINES_ARITHMETIC for marker in markers)


def count_scans(data: bytes) -> int:
    """The scans of a JPEG's picture. What metadata and a film behind the end hold are none."""
    markers = (segment.marker for segment in islice(walk_segments(data, 0), MAX_PARTS))
    return sum(marker == START_OF_SCAN for marker in markers)


def count_scanned_layers(data: bytes, layers: Sequence[tuple[int, int, int, int]]) -> float:
    """How often all scans of a JPEG together go through as many samples as its picture has pixels.

    Each layer is its number in the file and its samples across and down. A scan goes through every sample of its
    layers, also where it says nothing new of them. What metadata and a film behind the end hold are no scans.
    """
    widest, highest = max(layer[1] for layer in layers), max(layer[2] for layer in layers)
    shares = [(layer[0], layer[1] * layer[2] / (widest * highest)) for layer in layers]
    scanned = 0.0
    for part, segment in enumerate(walk_segments(data, 0)):
        if segment.marker == START_OF_SCAN:
            for place, number in enumerate(data[segment.start + 3 : segment.end - 3 : 2]):
                # As libjpeg has it: of several layers with this number the first that is not before its place.
                scanned += next((share for layer, share in shares[place:] if layer == number), 1)
        if part > MAX_PARTS:
            return part  # so many segments cost as much as so many scans
    return scanned
