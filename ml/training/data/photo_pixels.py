"""A set of labelled pictures, decoded: what a run is trained or judged on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.evaluation.metrics import NO_GROUP
from ml.folders.photo_set import PhotoSet

from .pixels import PixelCache, cache_pixels

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Photos:
    """N decoded pictures and their classes: `targets` int64[N] are positions in `classes`."""

    pixels: PixelCache
    targets: Ints
    classes: list[str]
    emphasis: npt.NDArray[np.float64]  # float64[classes]: how much more often than others a class is shown
    epoch_length: int  # pictures shown in an epoch
    groups: Ints | None = None  # int64[N]: pictures of one group do not find each other; NO_GROUP is none
    masks: npt.NDArray[np.uint8] | None = None  # uint8[N, m, m]: where each whole picture, squeezed, shows its item

    def draw_sample(self, length: int, seed: int) -> Photos:
        """At most `length` of the pictures, drawn evenly from the classes."""
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(len(self.targets))
        targets = self.targets[shuffled]
        turn = np.zeros(len(targets), np.int64)  # of each picture among those of its class
        for name in np.unique(targets):
            members = np.flatnonzero(targets == name)
            turn[members] = np.arange(len(members))
        keep = np.sort(shuffled[np.argsort(turn, kind="stable")[:length]])
        groups = None if self.groups is None else self.groups[keep]
        masks = None if self.masks is None else self.masks[keep]
        return Photos(
            self.pixels.subset(keep), self.targets[keep], self.classes, self.emphasis, len(keep), groups, masks
        )

    @property
    def fingerprint(self) -> str:
        """Names the pictures' classes, order, sizes and masks, so that a run does not go on with others."""
        masks = b"" if self.masks is None else self.masks.tobytes()
        return hashlib.sha256(self.targets.tobytes() + self.pixels.sizes.tobytes() + masks).hexdigest()


def decode_photos(
    photos: PhotoSet,
    side: int,
    cache: Path,
    *,
    classes: Sequence[str] | None = None,
    emphasis: Mapping[str, float] | None = None,
    epoch_length: int | None = None,
) -> Photos:
    """Decode `photos` to a shorter side of at most `side`, or map what an earlier call decoded."""
    names = list(classes or photos.classes)
    weights = np.array([(emphasis or {}).get(name, 1.0) for name in names])
    pixels = cache_pixels(photos.images, side, cache)
    return Photos(
        pixels, photos.targets(names), names, weights, epoch_length or len(photos), _number_groups(photos.groups)
    )


def _number_groups(groups: Sequence[str] | None) -> Ints | None:
    """A number for each group; an empty name is no group."""
    if groups is None:
        return None
    number = {name: i for i, name in enumerate(sorted({name for name in groups if name}))} | {"": NO_GROUP}
    return np.array([number[name] for name in groups], np.int64)
