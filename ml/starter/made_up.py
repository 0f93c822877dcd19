"""A photo set of made-up items: the pictures of a class have the form in common, and nothing else."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import trange

from ml.photo_set import PhotoSet
from ml.training.pixels import PixelCache

from .items import Form, Scene, form, scene

MASK = "-mask"  # after the name of a picture, the name of its mask


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
                drawn = made_up(photos, size, rng, kind.posed(rng))
                Image.fromarray(drawn.mask).save(path.with_stem(path.stem + MASK))
                Image.fromarray(drawn.picture).save(path)
        images += paths
    return PhotoSet(tuple(images), tuple(f"made up {path.parent.name}" for path in images))


def made_up_masks(made_up: PhotoSet, side: int) -> npt.NDArray[np.uint8]:
    """uint8[N, side, side]: where the item of each picture of `made_up_set` is."""
    masks = (Image.open(path.with_stem(path.stem + MASK)) for path in made_up.images)
    return np.stack([np.asarray(mask.resize((side, side), Image.Resampling.BOX)) for mask in masks])


def made_up(photos: PixelCache, size: int, rng: Random, item: Form | None = None) -> Scene:
    """A scene whose background, and often texture, is of `photos`."""
    background, texture = (photos.picture(rng.randrange(len(photos))) for _ in range(2))
    return scene(background, texture, size, rng, item)
