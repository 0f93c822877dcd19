"""Which part of a picture is seen: a random crop, mirrored or not (Szegedy et al., CVPR 2015)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ml.inference.arrays import Pixels
from ml.network.torchvision_compat import import_torchvision

import_torchvision()  # before its submodules, which would not load beside a CPU build of torch
from torchvision.transforms.v2 import functional  # noqa: E402

__all__ = ["View", "cut_mask", "cut_view", "draw_view", "functional", "to_pixels", "to_tensor"]


@dataclass(frozen=True)
class View:
    """A rectangle of a picture, in pixels, and whether it is mirrored."""

    top: int
    left: int
    height: int
    width: int
    mirrored: bool


def draw_view(shape: tuple[int, ...], area: tuple[float, float], aspect: float, rng: np.random.Generator) -> View:
    """Draw a view of a picture of `shape`, its height and width.

    It keeps a part of the picture between the two of `area`; its width to height is from 1 / `aspect` to `aspect`.
    """
    height, width = shape
    kept = width * height * rng.uniform(*area)
    # Drawn on a logarithmic scale, so that a crop is as often wider than high as it is higher than wide.
    ratio = math.exp(rng.uniform(-math.log(aspect), math.log(aspect)))
    across = max(1, min(width, round(math.sqrt(kept * ratio))))
    down = max(1, min(height, round(math.sqrt(kept / ratio))))
    top, left = int(rng.integers(0, height - down + 1)), int(rng.integers(0, width - across + 1))
    return View(top, left, down, across, bool(rng.choice((-1, 1)) == -1))


def cut_view(picture: Pixels, view: View, size: int) -> Pixels:
    """Scale the view of uint8[h, w, 3] to uint8[size, size, 3]."""
    # The part is copied, because torch wants memory that may be written to, and pictures lie in a read-only map.
    part = picture[view.top : view.top + view.height, view.left : view.left + view.width].copy()
    scaled = to_pixels(functional.resize(to_tensor(part), [size, size], antialias=True))
    return scaled[:, ::-1] if view.mirrored else scaled


def cut_mask(mask: Image.Image, shape: tuple[int, ...], view: View, size: int) -> Pixels:
    """Scale the part of `mask` that `view` is of a picture of `shape`, its height and width: uint8[size, size].

    A mask is a few pixels wide, so its part seldom begins and ends at whole pixels; Pillow takes fractions of them.
    """
    down, across = mask.height / shape[0], mask.width / shape[1]
    right, bottom = view.left + view.width, view.top + view.height
    box = (view.left * across, view.top * down, right * across, bottom * down)
    scaled = np.asarray(mask.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return scaled[:, ::-1] if view.mirrored else scaled


def to_tensor(pixels: Pixels) -> torch.Tensor:
    """Return uint8[H, W, 3] as uint8[3, H, W] that shares its memory."""
    return torch.from_numpy(pixels).permute(2, 0, 1)


def to_pixels(view: torch.Tensor) -> Pixels:
    """Return uint8[3, H, W] as uint8[H, W, 3] that shares its memory."""
    return view.permute(1, 2, 0).numpy()
