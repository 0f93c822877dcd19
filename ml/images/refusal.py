"""Why a photo is not taken, told to the person who sent it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from PIL import Image

Code = Literal["not_an_image", "too_large", "too_many_pixels", "truncated", "unsupported"]

# What Pillow and libheif raise on bytes they did not expect. MemoryError is absent: sizes are checked before pixels
# are allocated, so running out of memory is this machine's trouble and not the photo's.
HOSTILE_BYTES = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class PhotoRefused(Exception):
    """A file is not a photo that can be shown; `reason` is a sentence for the seller, `code` is for programs."""

    def __init__(self, reason: str, code: Code) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code: Code = code


@contextmanager
def refuse_damaged() -> Iterator[None]:
    """Turn whatever a decoder raises on hostile bytes into a refusal; a disk that cannot be read stays an OSError."""
    try:
        yield
    except HOSTILE_BYTES as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            raise
        raise PhotoRefused(
            "The photo is damaged or was cut off while it was sent. Save it again and send it once more.", "truncated"
        ) from exc
