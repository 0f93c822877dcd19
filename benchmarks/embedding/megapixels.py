"""Makes photos as a phone takes them from smaller ones: 12 megapixels, 3 MB and more, a third of them progressive."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 4000, 3000
LEAST_BYTES = 3 * 1024 * 1024
NOISE = 6.0  # levels of 255, as of a sensor: enlarged pictures are so smooth that their files would be small
QUALITIES = range(85, 101)


def enlarge_photos(paths: Sequence[Path]) -> Iterator[bytes]:
    """Enlarge each picture, add noise that is the same on every run, and encode it as a JPEG of at least 3 MB."""
    random = np.random.default_rng(0)
    for number, path in enumerate(paths):
        with Image.open(path) as picture:
            enlarged = np.asarray(picture.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC))
        noise = random.standard_normal(enlarged.shape, dtype=np.float32) * NOISE
        noisy = Image.fromarray(np.clip(enlarged + noise, 0, 255).astype(np.uint8))
        yield _encode_jpeg(noisy, progressive=number % 3 == 2)


def _encode_jpeg(picture: Image.Image, *, progressive: bool) -> bytes:
    """At the lowest quality at which the file is as large as a phone's."""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, progressive=progressive)
        if buffer.tell() >= LEAST_BYTES:
            break
    return buffer.getvalue()
