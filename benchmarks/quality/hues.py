"""Photos of coloured clothes: is a crop of one nearer than the whole photo in another hue?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from ml.images import decode
from ml.inference.embedder import Embedder
from ml.starter.data import read_clothing_set

from .ranking import Trial, measure_share_won

SATURATION = 0.25  # the mean of a photo (HSV) at least, because a grey one has no hue to turn
KEPT = 0.7  # of each side by a crop
TURN = 40  # degrees that the hue is turned by


def measure_hues(embedder: Embedder, clothing: Path) -> dict[str, Any]:
    """The share of photos, none trained on, whose own crop is nearer than their copy in a hue 40 degrees on."""
    photos = [path for split in ("unseen", "heldout") for path in read_clothing_set(clothing, split).images]
    won, trials = measure_share_won(embedder, _make_trials(photos))
    return {"own 70 % crop before the copy in another hue": won, "trials": trials}


def _make_trials(photos: list[Path]) -> Iterator[Trial]:
    dice = Random(1)
    for path in tqdm(photos, desc="hues", disable=None):
        photo = decode(path.read_bytes())
        if np.asarray(photo.convert("HSV"))[..., 1].mean() >= 255 * SATURATION:
            yield Trial(photo, _crop_photo(photo, dice), [_turn_hue(photo, TURN)])


def _crop_photo(photo: Image.Image, dice: Random) -> Image.Image:
    left, top = (int(side * (1 - KEPT) * dice.random()) for side in photo.size)
    return photo.crop((left, top, left + int(photo.width * KEPT), top + int(photo.height * KEPT)))


def _turn_hue(photo: Image.Image, degrees: float) -> Image.Image:
    hue, saturation, value = photo.convert("HSV").split()
    turned = hue.point(lambda level: (level + round(degrees * 256 / 360)) % 256)
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")
