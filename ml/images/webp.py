"""WebP: the canvas of an animation, and the rows of a still picture, of which Pillow would make several copies."""

from __future__ import annotations

import ctypes
import io
from functools import cached_property
from typing import IO

import numpy as np
import numpy.typing as npt
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
        return Image.open(io.BytesIO(data), formats=["WEBP"])
    image = Image.open(file, formats=["WEBP"])
    if _find_decoder(image.mode):
        image.info["read_rows"] = _WebpRows(file, image).read
        image.info["row_bytes"] = 4 if head[12:16] == b"VP8 " else 8  # without loss, four bytes a pixel are kept beside
    return image


class _WebpRows:
    """The rows of a still picture, which is decoded when the first of them are read."""

    def __init__(self, file: IO[bytes], image: ImageFile.ImageFile) -> None:
        self._file, self._mode, self._size = file, image.mode, image.size

    def read(self, top: int, bottom: int) -> Image.Image:
        return Image.fromarray(self._decoded[top:bottom])

    @cached_property
    def _decoded(self) -> npt.NDArray[np.uint8]:
        self._file.seek(0)
        data = self._file.read()
        pixels = np.empty((self._size[1], self._size[0], len(self._mode)), np.uint8)
        decoder = _find_decoder(self._mode)
        if not decoder or not decoder(data, len(data), pixels.ctypes.data, pixels.nbytes, pixels.strides[0]):
            raise ValueError("The picture is damaged.")
        return pixels


def _find_decoder(mode: str) -> ctypes._NamedFuncPointer | None:
    """The function of the library that Pillow itself uses; None where that cannot be called, as in some builds."""
    from PIL import _webp

    try:
        decoder = getattr(ctypes.CDLL(_webp.__file__), {"RGB": "WebPDecodeRGBInto", "RGBA": "WebPDecodeRGBAInto"}[mode])
    except (OSError, AttributeError, KeyError):
        return None
    decoder.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    decoder.restype = ctypes.c_void_p
    return decoder
