"""What a picture may look like in training: another crop, mirrored, a little brighter. Never another hue.

People search by colour, so hue is left alone: a network trained not to see it cannot tell a red dress from a blue one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ml.inference.preprocess import Pixels

LEAST_ITEM, MOST_ITEM = 0.08, 0.85  # of a view, for its item to be put before another


@dataclass(frozen=True)
class Augmentation:
    """Ranges from which each picture's own change is drawn."""

    area: tuple[float, float] = (0.25, 1.0)  # of the picture that the crop keeps
    aspect: float = 4 / 3  # a crop's width to height lies between its inverse and itself
    brightness: float = 0.3  # factors lie in 1 - x to 1 + x
    contrast: float = 0.3
    saturation: float = 0.2
    erase: float = 0.25  # the share of pictures from which a rectangle is erased
    move: float = 0.0  # the share of pictures whose item is put before another picture, where masks say what it is
    plain: float = 0.0  # the share of those that are put before a plain or shaded wall instead


def augmented(
    pictures: Sequence[Image.Image],
    size: int,
    how: Augmentation,
    rng: np.random.Generator,
    masks: Sequence[Image.Image] | None = None,
) -> Pixels:
    """One random view of each of N pictures: uint8[N, size, size, 3].

    A mask, of any size, covers its whole picture, white on the item.
    """
    views = np.empty((len(pictures), size, size, 3), np.uint8)
    items = np.empty((len(pictures), size, size, 1), np.uint8)
    for i, picture in enumerate(pictures):
        box, step = _crop_box(picture.size, how, rng), rng.choice((-1, 1))
        views[i] = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=box))[:, ::step]
        if masks is not None:
            items[i, ..., 0] = _cut_like(masks[i], box, picture.size, size)[:, ::step]
    if masks is not None and how.move:
        views = _moved(views, items, how, rng)
    views = _relit(views, how, rng)
    for position in np.flatnonzero(rng.random(len(views)) < how.erase):
        _erase(views[position], rng)
    return views


def _crop_box(size: tuple[int, int], how: Augmentation, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """The random resized crop of Szegedy et al. 2015: left, top, right, bottom."""
    width, height = size
    area = width * height * rng.uniform(*how.area)
    aspect = math.exp(rng.uniform(-math.log(how.aspect), math.log(how.aspect)))
    w, h = min(width, math.sqrt(area * aspect)), min(height, math.sqrt(area / aspect))
    left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return left, top, left + w, top + h


def _cut_like(mask: Image.Image, box: Sequence[float], whole: tuple[int, int], size: int) -> Pixels:
    """The part of `mask` that `box` is of a picture of the size `whole`: uint8[size, size]."""
    across, down = mask.width / whole[0], mask.height / whole[1]
    part = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    return np.asarray(mask.resize((size, size), Image.Resampling.BILINEAR, box=part))


def _moved(views: Pixels, items: Pixels, how: Augmentation, rng: np.random.Generator) -> Pixels:
    """Some items before another view of the batch; a view that is nearly all item, or none, stays as it is."""
    covered = items.mean(axis=(1, 2, 3)) / 255
    chosen = (rng.random(len(views)) < how.move) & (covered > LEAST_ITEM) & (covered < MOST_ITEM)
    behind = views[rng.permutation(len(views))]
    if how.plain:
        walls = rng.random(len(views)) < how.plain
        behind[walls] = _walls(int(walls.sum()), views.shape[1], rng)
    opaque = items[chosen].astype(np.float32) / 255
    views[chosen] = opaque * views[chosen] + (1 - opaque) * behind[chosen]
    return views


def _walls(count: int, size: int, rng: np.random.Generator) -> Pixels:
    """uint8[count, size, size, 3]: one colour each, or two that run into each other from top to bottom."""
    top, bottom = rng.integers(0, 256, (2, count, 1, 1, 3))
    bottom = np.where(rng.random((count, 1, 1, 1)) < 0.5, top, bottom)
    return np.broadcast_to(np.linspace(top, bottom, size, axis=1)[:, :, 0], (count, size, size, 3)).astype(np.uint8)


def _relit(views: Pixels, how: Augmentation, rng: np.random.Generator) -> Pixels:
    brightness, contrast, saturation = (
        rng.uniform(1 - x, 1 + x, (len(views), 1, 1, 1)).astype(np.float32)
        for x in (how.brightness, how.contrast, how.saturation)
    )
    pixels = views.astype(np.float32)
    grey = pixels.mean(axis=3, keepdims=True)
    mean = grey.mean(axis=(1, 2), keepdims=True)
    # brightness * (mean + contrast * (grey + saturation * (pixels - grey) - mean)), with fewer passes over the pixels
    pixels *= brightness * contrast * saturation
    pixels += brightness * (contrast * (1 - saturation) * grey + (1 - contrast) * mean)
    return pixels.clip(0, 255, out=pixels).astype(np.uint8)


def _erase(view: Pixels, rng: np.random.Generator) -> None:
    """Random erasing (Zhong et al. 2017), filled with the picture's mean colour, in place."""
    size = len(view)
    h, w = (max(1, int(size * rng.uniform(0.15, 0.45))) for _ in range(2))
    top, left = int(rng.integers(0, size - h + 1)), int(rng.integers(0, size - w + 1))
    view[top : top + h, left : left + w] = view.mean(axis=(0, 1)).astype(np.uint8)
