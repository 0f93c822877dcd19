"""The canvas of an animated WebP."""

from __future__ import annotations

import io
from typing import IO

from PIL import Image, ImageFile

# Flags of the chunk VP8X, which comes first in a file of more than one chunk, and where they stand.
_ANIMATION, _ALPHA = 2, 16
_FLAGS = 20


def open_webp(file: IO[bytes]) -> ImageFile.ImageFile:
    """Open a WebP. What the first frame of an animation leaves of its canvas is transparent, as in browsers.

    Pillow reads transparency only where a flag says that frames have it, and paints the rest of the canvas black.
    """
    head = file.read(_FLAGS + 1)
    file.seek(0)
    if head[12:16] == b"VP8X" and len(head) > _FLAGS and head[_FLAGS] & _ANIMATION:
        data = bytearray(file.read())
        data[_FLAGS] |= _ALPHA
        file = io.BytesIO(data)
    return Image.open(file, formats=["WEBP"])
