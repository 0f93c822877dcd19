"""A photo set of made-up items: the pictures of a class have the form in common, and nothing else."""

from __future__ import annotations

from pathlib import Path
from random import Random

from PIL import Image
from tqdm import trange

from ml.photo_set import PhotoSet
from ml.training.pixels import PixelCache

from .items import Form, Scene, form, scene


def made_up_set(folder: Path, photos: PixelCache, size: int, *, classes: int, each: int, seed: int) -> PhotoSet:
    """`classes` forms, each in `each` colourings and poses before some of `photos`, drawn where not there."""
    images: list[Path] = []
    for number in trange(classes, desc="made-up items", disable=None):
        rng = Random(f"{seed} {number}")
        kind = form(size, rng)
        paths = [folder / str(number) / f"{position}.png" for position in range(each)]
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        if not paths[-1].exists():
            for path in paths:
                Image.fromarray(made_up(photos, size, rng, kind.posed(rng)).picture).save(path)
        images += paths
    return PhotoSet(tuple(images), tuple(f"made up {path.parent.name}" for path in images))


def made_up(photos: PixelCache, size: int, rng: Random, item: Form | None = None) -> Scene:
    """A scene whose background, and often texture, is of `photos`."""
    background, texture = (photos.picture(rng.randrange(len(photos))) for _ in range(2))
    return scene(background, texture, size, rng, item)
