"""Setting pictures aside for validation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.folders.photo_set import PhotoSet, PhotoSetError

Ints = npt.NDArray[np.int64]


def split_photos(photos: PhotoSet, share: float, seed: int) -> tuple[PhotoSet, PhotoSet]:
    """Return the pictures to train on, and about `share` of all to judge by.

    Where the set has groups, each group is whole on one side. Elsewhere every class gives its share: two pictures at
    least, as one alone would have nothing to find, and none where the class has fewer than four. Of classes too small
    for a share, as many give two as it takes to come to the share of all.

    Raises:
        PhotoSetError: no such split exists.
    """
    rng = np.random.default_rng(seed)
    wanted = share * len(photos)
    aside = (
        _choose_pictures_by_class(photos, share, wanted, rng)
        if photos.groups is None
        else _choose_pictures_by_group(photos, wanted, rng)
    )
    if not aside.any():
        raise PhotoSetError(
            f"{share:.0%} of {len(photos)} pictures cannot be set aside for validation without splitting a group, or "
            "leaving a class with fewer than two. Add pictures, or set none aside: --validation-share 0."
        )
    return photos.subset(np.flatnonzero(~aside)), photos.subset(np.flatnonzero(aside))


def _choose_pictures_by_class(
    photos: PhotoSet, share: float, wanted: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return bool[N]: which pictures are set aside where there are no groups."""
    targets = photos.targets()
    members = [rng.permutation(np.flatnonzero(targets == name)) for name in range(len(photos.classes))]
    counts = [round(share * len(own)) if share * len(own) >= 1.5 else 0 for own in members]
    for name in rng.permutation(len(members)):
        if sum(counts) + 2 > max(2.0, wanted):
            break
        if not counts[name] and len(members[name]) >= 4:
            counts[name] = 2
    aside = np.zeros(len(photos), bool)
    for own, count in zip(members, counts, strict=True):
        aside[own[:count]] = True
    return aside


def _choose_pictures_by_group(photos: PhotoSet, wanted: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return bool[N]: which pictures are set aside, by groups in random order, as long as they fit.

    A picture without a group is one by itself.
    """
    names = [group or f"\0{i}" for i, group in enumerate(photos.groups or ())]
    group, sizes = np.unique(names, return_inverse=True, return_counts=True)[1:]
    aside = np.zeros(len(photos), bool)
    for name in rng.permutation(len(sizes)):
        if aside.sum() + sizes[name] <= max(wanted, sizes.min()) and len(sizes) > 1:
            aside |= group == name
    return aside
