"""Vectors of the pictures that a calibration is fitted on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image
from tqdm import tqdm

from ml.images import make_clean_picture
from ml.inference.arrays import Pixels, Vectors
from ml.inference.embedder import Embedder

from .blank_pictures import KINDS, draw_blank_picture

BLANKS_OF_A_KIND = 36


def embed_blanks(embedder: Embedder) -> list[Vectors]:
    """Vectors float32[36, dim] of each kind of picture that shows nothing."""
    drawn = [[draw_blank_picture(kind, seed) for seed in range(BLANKS_OF_A_KIND)] for kind in KINDS]
    return [embed_pictures(pictures, embedder, "blank pictures") for pictures in drawn]


def embed_pictures(pictures: Iterable[Image.Image], embedder: Embedder, title: str) -> Vectors:
    """float32[N, dim] of N pictures, cleaned as those of listings are; with progress under a title."""
    cleaned = (make_clean_picture(picture) for picture in tqdm(pictures, title, disable=None))
    return embed_pixels([embedder.prepare(picture) for picture in cleaned], embedder)


def embed_pixels(pixels: Sequence[Pixels], embedder: Embedder) -> Vectors:
    """float32[N, dim] of N prepared pictures, uint8[S, S, 3] each."""
    return embedder.embed(np.array(pixels, np.uint8).reshape(-1, embedder.size, embedder.size, 3))
