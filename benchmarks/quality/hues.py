"""Photos of coloured clothes: is a crop of one nearer than the photo whose item, or all of it, has another hue?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from ml.images import decode
from ml.inference.embedder import Embedder
from ml.starter.data import read_clothing_set

from .items import find_item
from .ranking import Trial, measure_share_won

SATURATION = 0.25  # the mean of what is turned (HSV) at least, because grey has no hue to turn
PHOTOS = 600  # of which the item is looked for, because that takes longer than embedding
KEPT = 0.7  # of each side by a crop
TURN = 40  # degrees that the hue is turned by
AREA = (0.1, 0.7)  # of a photo that an item takes; elsewhere most likely something else was found

Bools = npt.NDArray[np.bool_]


def measure_hues(embedder: Embedder, clothing: Path) -> dict[str, Any]:
    """The share of photos, none trained on, whose own crop is nearer than their copy in a hue 40 degrees on.

    In the old trial all of the copy is turned, so that a model that knows the background wins it too. In the other only
    the item is: the copy then has the photo's own background, all of it, and nothing but the item's hue against it.
    """
    photos = [path for split in ("unseen", "heldout") for path in read_clothing_set(clothing, split).images]
    some = Random(1).sample(photos, min(PHOTOS, len(photos)))
    figures: dict[str, Any] = {}
    for name, asked, choose in (("item alone", some, _find_plausible_item), ("all of the photo", photos, _take_all)):
        won, trials = measure_share_won(embedder, _make_trials(asked, choose))
        figures[f"own 70 % crop before the copy in another hue, {name}"] = won
        figures[f"trials, {name}"] = trials
    return figures


def _make_trials(photos: list[Path], choose: Callable[[Image.Image], Bools | None]) -> Iterator[Trial]:
    dice = Random(1)
    for path in tqdm(photos, desc="hues", disable=None):
        photo = decode(path.read_bytes())
        turned = choose(photo)
        if turned is not None and np.asarray(photo.convert("HSV"))[turned, 1].mean() >= 255 * SATURATION:
            yield Trial(photo, _crop_photo(photo, dice), [turn_hue(photo, TURN, turned)])


def _take_all(photo: Image.Image) -> Bools:
    return np.ones((photo.height, photo.width), bool)


def _find_plausible_item(photo: Image.Image) -> Bools | None:
    item = find_item(photo)
    return item if AREA[0] <= item.mean() <= AREA[1] else None


def _crop_photo(photo: Image.Image, dice: Random) -> Image.Image:
    left, top = (int(side * (1 - KEPT) * dice.random()) for side in photo.size)
    return photo.crop((left, top, left + int(photo.width * KEPT), top + int(photo.height * KEPT)))


def turn_hue(photo: Image.Image, degrees: float, where: Bools) -> Image.Image:
    hue, saturation, value = photo.convert("HSV").split()
    turned = hue.point(lambda level: (level + round(degrees * 256 / 360)) % 256)
    copy = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
    return Image.composite(copy, photo, Image.fromarray(where))
