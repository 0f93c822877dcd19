"""Copies of photos as people save and send them again, cropped and recompressed: do they find their original?"""

from __future__ import annotations

import io
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from ml.folders.extraction import extract_vectors
from ml.images import decode, make_clean_picture
from ml.inference.embedder import Embedder

COPIES = 500
CUT = 0.05  # of each side
QUALITY = 40


def measure_copies(embedder: Embedder, clothing: Path) -> dict[str, Any]:
    """The share of copies that find their original first among all photos."""
    paths = sorted((clothing / "images").glob("*.jpg"))
    gallery = extract_vectors(paths, embedder)
    chosen = Random(1).sample(gallery.kept.tolist(), COPIES)
    copies = embedder.embed(
        np.stack([embedder.prepare(make_clean_picture(decode(_make_copy(paths[i])))) for i in chosen])
    )
    first = gallery.kept[(copies @ gallery.vectors.T).argmax(axis=1)]
    return {"original first": float(np.mean(first == chosen)), "copies": COPIES, "photos": len(gallery.kept)}


def _make_copy(path: Path) -> bytes:
    photo = decode(path.read_bytes())
    width, height = photo.size
    cut = photo.crop((int(CUT * width), int(CUT * height), int((1 - CUT) * width), int((1 - CUT) * height)))
    data = io.BytesIO()
    cut.save(data, "JPEG", quality=QUALITY)
    return data.getvalue()
