"""What a picture may look like in training: another crop, mirrored, a little brighter. Never another hue.

People search by colour, so hue is left alone: a network trained not to see it cannot tell a red dress from a blue one.

What is done to a picture is torchvision's; how much of it is drawn here, from the generator of the batch. torchvision's
own transforms draw from the one generator of the process, and threads that share it could not repeat a batch
(docs/decisions/0013-augmentation.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ml.inference.arrays import Pixels
from ml.network.torchvision_compat import import_torchvision

import_torchvision()  # before its submodules, which would not load beside a CPU build of torch
from torchvision.transforms.v2 import functional  # noqa: E402

# Only items that cover a share of their view between these are moved: less is hardly an item, more has no background.
LEAST_ITEM, MOST_ITEM = 0.08, 0.85


@dataclass(frozen=True)
class Augmentation:
    """Ranges from which each picture's own change is drawn.

    Attributes:
        area: the part of the picture that the crop keeps.
        aspect: a crop's width to height lies between its inverse and itself.
        brightness, contrast, saturation: factors lie in 1 - x to 1 + x.
        erase: the share of pictures from which a rectangle is erased.
        move: the share of pictures whose item is put before another picture, where masks say what it is.
        plain: the share of those that are put before a plain or shaded wall instead.
    """

    area: tuple[float, float] = (0.25, 1.0)
    aspect: float = 4 / 3
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.2
    erase: float = 0.25
    move: float = 0.0
    plain: float = 0.0


@dataclass(frozen=True)
class Crop:
    """A rectangle of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int


def augment_pictures(
    pictures: Sequence[Image.Image] | Sequence[Pixels],
    size: int,
    how: Augmentation,
    rng: np.random.Generator,
    masks: Sequence[Image.Image] | None = None,
) -> Pixels:
    """Draw one random view of each of N RGB pictures, uint8[h, w, 3] or Pillow's: uint8[N, size, size, 3].

    A mask, of any size, covers its whole picture, white on the item.
    """
    views, items = _crop_and_mirror_views(pictures, size, how, rng, masks)
    if masks is not None and how.move:
        views = _replace_backgrounds(views, items, how, rng)
    for view in views:
        # A part is erased last, so that it has the mean colour of the view as it is shown.
        view[:] = _to_pixels(_jitter_colours(_to_tensor(view), how, rng))
        if rng.random() < how.erase:
            _erase_part(view, rng)
    return views


def _crop_and_mirror_views(
    pictures: Sequence[Image.Image] | Sequence[Pixels],
    size: int,
    how: Augmentation,
    rng: np.random.Generator,
    masks: Sequence[Image.Image] | None,
) -> tuple[Pixels, Pixels]:
    """Crop and mirror each picture, and its mask alike: uint8[N, size, size, 3] and uint8[N, size, size, 1]."""
    views = np.empty((len(pictures), size, size, 3), np.uint8)
    items = np.empty((len(pictures), size, size, 1), np.uint8)
    for i, picture in enumerate(pictures):
        pixels = np.asarray(picture)
        crop = _choose_random_crop(pixels.shape[:2], how, rng)
        # One step for both: where -1 mirrors a view, its mask must be mirrored too, or it would lie beside the item.
        step = rng.choice((-1, 1))
        views[i] = _crop_and_scale_picture(pixels, crop, size)[:, ::step]
        if masks is not None:
            items[i, ..., 0] = _crop_and_scale_mask(masks[i], crop, pixels.shape[:2], size)[:, ::step]
    return views, items


def _choose_random_crop(shape: tuple[int, ...], how: Augmentation, rng: np.random.Generator) -> Crop:
    """Draw a random resized crop of a picture of `shape`, its height and width (Szegedy et al., CVPR 2015)."""
    height, width = shape
    area = width * height * rng.uniform(*how.area)
    # Drawn on a logarithmic scale, so that a crop is as often wider than high as it is higher than wide.
    aspect = math.exp(rng.uniform(-math.log(how.aspect), math.log(how.aspect)))
    across = max(1, min(width, round(math.sqrt(area * aspect))))
    down = max(1, min(height, round(math.sqrt(area / aspect))))
    return Crop(int(rng.integers(0, height - down + 1)), int(rng.integers(0, width - across + 1)), down, across)


def _crop_and_scale_picture(picture: Pixels, crop: Crop, size: int) -> Pixels:
    """Scale the crop of uint8[h, w, 3] to uint8[size, size, 3]."""
    # The part is copied, because torch wants memory that may be written to, and pictures lie in a read-only map.
    part = picture[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width].copy()
    return _to_pixels(functional.resize(_to_tensor(part), [size, size], antialias=True))


def _crop_and_scale_mask(mask: Image.Image, crop: Crop, shape: tuple[int, ...], size: int) -> Pixels:
    """Scale the part of `mask` that `crop` is of a picture of `shape`, its height and width: uint8[size, size].

    A mask is a few pixels wide, so its part seldom begins and ends at whole pixels; Pillow takes fractions of them.
    """
    down, across = mask.height / shape[0], mask.width / shape[1]
    right, bottom = crop.left + crop.width, crop.top + crop.height
    box = (crop.left * across, crop.top * down, right * across, bottom * down)
    return np.asarray(mask.resize((size, size), Image.Resampling.BILINEAR, box=box))


def _replace_backgrounds(views: Pixels, items: Pixels, how: Augmentation, rng: np.random.Generator) -> Pixels:
    """Put some items before another view of the batch; a view that is nearly all item, or none, stays as it is.

    `views` are uint8[N, size, size, 3], `items` uint8[N, size, size, 1], 255 where a view shows its item.
    """
    covered = items.mean(axis=(1, 2, 3)) / 255
    chosen = (rng.random(len(views)) < how.move) & (covered > LEAST_ITEM) & (covered < MOST_ITEM)
    behind = views[rng.permutation(len(views))]
    if how.plain:
        walls = rng.random(len(views)) < how.plain
        behind[walls] = _draw_walls(int(walls.sum()), views.shape[1], rng)
    opaque = items[chosen].astype(np.float32) / 255
    views[chosen] = opaque * views[chosen] + (1 - opaque) * behind[chosen]
    return views


def _draw_walls(count: int, size: int, rng: np.random.Generator) -> Pixels:
    """Draw uint8[count, size, size, 3]: walls of one colour, or of two that run into each other from top to bottom."""
    top, bottom = rng.integers(0, 256, (2, count, 1, 1, 3))
    bottom = np.where(rng.random((count, 1, 1, 1)) < 0.5, top, bottom)
    return np.broadcast_to(np.linspace(top, bottom, size, axis=1)[:, :, 0], (count, size, size, 3)).astype(np.uint8)


def _jitter_colours(view: torch.Tensor, how: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    """Change the saturation, contrast and brightness of uint8[3, H, W] by random factors."""
    # torchvision's own jitter would shift the hue as well, and teach the network not to see what people search by.
    for adjust, most in (
        (functional.adjust_saturation, how.saturation),
        (functional.adjust_contrast, how.contrast),
        (functional.adjust_brightness, how.brightness),
    ):
        view = adjust(view, rng.uniform(1 - most, 1 + most))
    return view


def _erase_part(view: Pixels, rng: np.random.Generator) -> None:
    """Fill a random rectangle of uint8[size, size, 3] with its mean colour, in place (Zhong et al., AAAI 2020)."""
    size = len(view)
    height, width = (max(1, int(size * rng.uniform(0.15, 0.45))) for _ in range(2))
    top, left = int(rng.integers(0, size - height + 1)), int(rng.integers(0, size - width + 1))
    view[top : top + height, left : left + width] = view.mean(axis=(0, 1)).astype(np.uint8)


def _to_tensor(pixels: Pixels) -> torch.Tensor:
    """Return uint8[H, W, 3] as uint8[3, H, W] that shares its memory."""
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _to_pixels(view: torch.Tensor) -> Pixels:
    """Return uint8[3, H, W] as uint8[H, W, 3] that shares its memory."""
    return view.permute(1, 2, 0).numpy()
