"""Keeps the memory of decoding bounded, however many threads decode: large pictures wait for one another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from .header import Header

LARGE_BYTES = 100 * 1024 * 1024

_large = threading.Lock()


@contextmanager
def one_large_at_a_time(header: Header, image: Image.Image) -> Iterator[None]:
    """While the block decodes an opened and drafted picture; small ones pass."""
    if _bytes_at_peak(header, image) < LARGE_BYTES:
        yield
        return
    with _large:
        yield


def _bytes_at_peak(header: Header, drafted: Image.Image) -> int:
    """What decoding holds, roughly: two copies of four bytes a pixel, while colours are converted.

    A progressive JPEG also keeps 16 bits for each coefficient of up to three channels until its last scan, at full
    size, whatever it was drafted to.
    """
    coefficients = 3 * header.width * header.height if drafted.info.get("progressive") else 0
    return 2 * coefficients + 2 * 4 * drafted.width * drafted.height
