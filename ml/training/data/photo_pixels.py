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

from .label_sets import LabelSet
from .lessons import Teachers
from .pixels import PixelCache, cache_pixels

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Photos:
    """N decoded pictures and their classes: `targets`, int64[N], are positions in `classes`.

    Attributes:
        emphasis: float64[classes], how much more often than others a class is shown.
        epoch_length: pictures shown in an epoch.
        groups: int64[N]; pictures of one group do not find each other, and `NO_GROUP` belongs to none.
        masks: uint8[N, m, m], 255 where a picture, squeezed square, shows its item.
        label_sets: what is learned of the pictures where it is more than their class; the class then only says how
            often they are shown.
        teachers: whom the network learns from, where labels are not all.
    """

    pixels: PixelCache
    targets: Ints
    classes: list[str]
    emphasis: npt.NDArray[np.float64]
    epoch_length: int
    groups: Ints | None = None
    masks: npt.NDArray[np.uint8] | None = None
    label_sets: tuple[LabelSet, ...] = ()
    teachers: Teachers | None = None

    @property
    def class_counts(self) -> list[int]:
        """How many classes there are to learn in each label set, or in the one set that the pictures have."""
        return [len(one.classes) for one in self.label_sets] or [len(self.classes)]

    def learned_targets(self, positions: Ints) -> Ints:
        """Return int64[B, label sets] of int64[B] positions: places in the classes of each set, or `UNLABELLED`."""
        columns = [one.targets[positions] for one in self.label_sets] or [self.targets[positions]]
        return np.stack(columns, axis=1)

    def draw_sample(self, length: int, seed: int) -> Photos:
        """Return at most `length` of the pictures, drawn evenly from the classes."""
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(len(self.targets))
        targets = self.targets[shuffled]
        place_in_class = np.zeros(len(targets), np.int64)
        for name in np.unique(targets):
            members = np.flatnonzero(targets == name)
            place_in_class[members] = np.arange(len(members))
        # The first of every class come before the second of any, so that a short sample has some of each.
        keep = np.sort(shuffled[np.argsort(place_in_class, kind="stable")[:length]])
        groups = None if self.groups is None else self.groups[keep]
        masks = None if self.masks is None else self.masks[keep]
        return Photos(
            self.pixels.subset(keep), self.targets[keep], self.classes, self.emphasis, len(keep), groups, masks
        )

    @property
    def fingerprint(self) -> str:
        """A checksum of the pictures, their order, masks and labels; a run does not go on with others."""
        masks = b"" if self.masks is None else self.masks.tobytes()
        learned = b"".join(f"{one.name}{one.classes}".encode() + one.targets.tobytes() for one in self.label_sets)
        return hashlib.sha256(self.pixels.fingerprint.encode() + self.targets.tobytes() + masks + learned).hexdigest()


def decode_photos(
    photos: PhotoSet,
    side: int,
    cache: Path,
    *,
    classes: Sequence[str] | None = None,
    emphasis: Mapping[str, float] | None = None,
    epoch_length: int | None = None,
) -> Photos:
    """Decode `photos` to a shorter side of at most `side` pixels, or map what an earlier call decoded.

    `emphasis` says how much more often than others a class is shown, 1 for classes it does not name. Where
    `epoch_length` is None, an epoch shows as many pictures as there are.

    Raises:
        UnreadablePicturesError: pictures cannot be decoded.
    """
    names = list(classes or photos.classes)
    pixels = cache_pixels(photos.images, side, cache)
    return Photos(
        pixels,
        photos.targets(names),
        names,
        weigh_classes(names, emphasis or {}),
        epoch_length or len(photos),
        _number_groups(photos.groups),
    )


def weigh_classes(classes: Sequence[str], emphasis: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Return float64[classes], how much more often than others each is shown; 1 for those that are not named."""
    return np.array([emphasis.get(name, 1.0) for name in classes])


def _number_groups(groups: Sequence[str] | None) -> Ints | None:
    """Return int64[N], a number for each group; an empty name is no group."""
    if groups is None:
        return None
    number = {name: i for i, name in enumerate(sorted({name for name in groups if name}))} | {"": NO_GROUP}
    return np.array([number[name] for name in groups], np.int64)
