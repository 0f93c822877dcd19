"""What a picture may look like in training: another crop, mirrored or turned, a little brighter. Never another hue.

People search by colour, so hue is left alone: a network trained not to see it cannot tell a red dress from a blue one.

What is done to a picture is torchvision's; how much of it is drawn here, from the generator of the batch. torchvision's
own transforms draw from the one generator of the process, and threads that share it could not repeat a batch
(docs/decisions/0013-augmentation.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ml.inference.arrays import Pixels

from .views import View, cut_mask, cut_view, draw_view, functional, to_pixels, to_tensor

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
        turn: the share of pictures that are turned by a quarter, a half or three quarters of a circle.
        move: the share of pictures whose item is put before another picture, where masks say what it is.
        plain: the share of those that are put before a plain or shaded wall instead.
    """

    area: tuple[float, float] = (0.25, 1.0)
    aspect: float = 4 / 3
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.2
    erase: float = 0.25
    turn: float = 0.0
    move: float = 0.0
    plain: float = 0.0


def augment_pictures(
    pictures: Sequence[Image.Image] | Sequence[Pixels],
    size: int,
    how: Augmentation,
    rng: np.random.Generator,
    masks: Sequence[Image.Image] | None = None,
    views: Sequence[View] | None = None,
) -> Pixels:
    """Draw one random view of each of N RGB pictures, uint8[h, w, 3] or Pillow's: uint8[N, size, size, 3].

    A mask, of any size, covers its whole picture, white on the item. Where `views` say which part of each picture is
    seen, all but that is drawn.
    """
    arrays = [np.asarray(picture) for picture in pictures]
    if views is None:
        views = [draw_view(pixels.shape[:2], how.area, how.aspect, rng) for pixels in arrays]
    seen = np.stack([cut_view(pixels, view, size) for pixels, view in zip(arrays, views, strict=True)])
    if masks is not None and how.move:
        shown = zip(masks, arrays, views, strict=True)
        items = np.stack([cut_mask(mask, pixels.shape[:2], view, size) for mask, pixels, view in shown])
        seen = _replace_backgrounds(seen, items[..., None], how, rng)
    for view in seen:
        # A part is erased after that, so that it has the mean colour of the view as it is shown.
        view[:] = to_pixels(_jitter_colours(to_tensor(view), how, rng))
        if rng.random() < how.erase:
            _erase_part(view, rng)
        if how.turn and rng.random() < how.turn:
            view[:] = np.rot90(view, int(rng.integers(1, 4))).copy()
    return seen


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
