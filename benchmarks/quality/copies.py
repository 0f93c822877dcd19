"""Copies of photos as people save, crop, relight and turn them: do they find their original?"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from ml.folders.extraction import extract_vectors
from ml.images import decode, make_clean_picture
from ml.inference.embedder import MAX_BATCH, Embedder

from .colours import relight_photo
from .intervals import bootstrap_mean

COPIES = 500
CUT = 0.05  # of each side
QUALITY = 40
WHITE_BALANCE = 0.1  # red and blue by a factor from 0.9 to 1.1

Vectors = npt.NDArray[np.float32]


def measure_copies(embedder: Embedder, clothing: Path, colours: int) -> dict[str, Any]:
    """Of 500 photos, each changed in a way: how many copies find their original first among all photos, in R@1?

    `cosine` is that of a copy and its original, `colour cosine` that of their last `colours` numbers alone.
    """
    paths = sorted((clothing / "images").glob("*.jpg"))
    gallery = extract_vectors(paths, embedder)
    chosen = Random(1).sample(range(len(gallery.kept)), COPIES)
    originals = [paths[gallery.kept[row]] for row in chosen]
    figures = {}
    for name, change in CHANGES.items():
        copies = _embed_copies(embedder, originals, change, name)
        found = (copies @ gallery.vectors.T).argmax(axis=1)
        figures[name] = {
            "original first": bootstrap_mean(found == chosen),
            "cosine": _mean_cosine(copies, gallery.vectors[chosen]),
            "colour cosine": _mean_cosine(copies[:, -colours:], gallery.vectors[chosen][:, -colours:])
            if colours
            else None,
        }
    return {"copies": COPIES, "photos": len(gallery.kept), **figures}


def _cut_and_recompress(photo: Image.Image, dice: Random) -> Image.Image:
    width, height = photo.size
    cut = photo.crop((int(CUT * width), int(CUT * height), int((1 - CUT) * width), int((1 - CUT) * height)))
    data = io.BytesIO()
    cut.save(data, "JPEG", quality=QUALITY)
    return decode(data.getvalue())


def _relight_a_little(photo: Image.Image, dice: Random) -> Image.Image:
    red, blue = (dice.uniform(1 - WHITE_BALANCE, 1 + WHITE_BALANCE) for _ in range(2))
    return relight_photo(photo, dice.choice((-0.5, 0.5)), red=red, blue=blue)


def _relight_a_lot(photo: Image.Image, dice: Random) -> Image.Image:
    return relight_photo(photo, dice.choice((-1.0, 1.0)))


def _lighten_by_half_a_stop(photo: Image.Image, dice: Random) -> Image.Image:
    return relight_photo(photo, 0.5)


def _turn_by_a_quarter(photo: Image.Image, dice: Random) -> Image.Image:
    return photo.transpose(dice.choice((Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)))


CHANGES: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "cut by 5 % on each side and recompressed": _cut_and_recompress,
    "half a stop darker or lighter, and white balance": _relight_a_little,
    "one stop darker or lighter": _relight_a_lot,
    "half a stop lighter": _lighten_by_half_a_stop,
    "turned by 90 degrees": _turn_by_a_quarter,
}


def _embed_copies(
    embedder: Embedder, paths: list[Path], change: Callable[[Image.Image, Random], Image.Image], title: str
) -> Vectors:
    """float32[N, dim] of the changed photos; each change has dice of its own, so that one more changes no other."""

    def prepare() -> Iterator[npt.NDArray[np.uint8]]:
        dice = Random(1)
        for path in tqdm(paths, desc=title, disable=None):
            yield embedder.prepare(make_clean_picture(change(decode(path.read_bytes()), dice)))

    pictures = np.stack(list(prepare()))
    parts = [embedder.embed(pictures[start : start + MAX_BATCH]) for start in range(0, len(pictures), MAX_BATCH)]
    return np.concatenate(parts)


def _mean_cosine(ours: Vectors, theirs: Vectors) -> float:
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return round(float(((ours * theirs).sum(axis=1) / lengths).mean()), 3)
