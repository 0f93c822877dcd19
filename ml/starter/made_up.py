"""A photo set of made-up items. The pictures of a class have the form in common, and nothing else."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
from PIL import Image
from tqdm import trange

from ml.atomic_files import open_atomic_file
from ml.folders.photo_set import PhotoSet
from ml.inference.arrays import Pixels
from ml.training.data.pixels import PixelCache

from .items import Form, Scene, draw_scene, random_form

MASK = "-mask"  # ends the name of the mask's file; a picture without such a file beside it does not count as drawn


def draw_made_up_set(folder: Path, photos: PixelCache, size: int, *, classes: int, each: int, seed: int) -> PhotoSet:
    """Return pictures of `classes` forms, each in `each` colourings and poses before some of `photos`.

    They are drawn into `folder`. A picture that is there is taken as it is, so draw into another folder after a change
    of this code, of `size` or of `seed`.
    """
    images: list[Path] = []
    for number in trange(classes, desc="made-up items", disable=None):
        rng = Random(f"{seed} {number}")
        kind = random_form(size, rng)
        paths = [folder / str(number) / f"{position}.png" for position in range(each)]
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        if not all(path.exists() and _mask_path(path).exists() for path in paths):
            # All of a class are drawn again, since what is drawn depends on what was drawn before it.
            for path in paths:
                drawn = draw_made_up_scene(photos, size, rng, kind.vary_pose(rng))
                _save_picture(drawn.mask, _mask_path(path))
                _save_picture(drawn.picture, path)
        images += paths
    return PhotoSet(tuple(images), tuple(f"made up {path.parent.name}" for path in images))


def read_made_up_masks(drawn: PhotoSet, side: int) -> Pixels:
    """Return uint8[N, side, side], 255 where the item of each picture of `draw_made_up_set` is."""
    masks = (Image.open(_mask_path(path)) for path in drawn.images)
    return np.stack([np.asarray(mask.resize((side, side), Image.Resampling.BOX)) for mask in masks])


def draw_made_up_scene(photos: PixelCache, size: int, rng: Random, item: Form | None = None) -> Scene:
    """Draw a scene whose background, and often texture, are pieces of `photos`."""
    background, texture = (photos.picture(rng.randrange(len(photos))) for _ in range(2))
    return draw_scene(background, texture, size, rng, item)


def _mask_path(picture: Path) -> Path:
    return picture.with_stem(picture.stem + MASK)


def _save_picture(pixels: Pixels, path: Path) -> None:
    with open_atomic_file(path) as file:
        Image.fromarray(pixels).save(file, "PNG")
