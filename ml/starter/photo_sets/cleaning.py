"""Leaves out of a set what is in it twice, and what is too like the pictures that models are judged by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ml.folders.perceptual_hash import find_near_pairs

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

# Bits of 64. What is judged is kept away from widely; among the pictures of one training set only what is surely the
# same is dropped, because one cut in two colours before white is near too, and both are worth learning from.
FROM_JUDGED, FROM_EACH_OTHER = 6, 1


def find_judged_pictures(hashes: Hashes, judged: Hashes) -> Flags:
    """bool[N]: which of uint64[N] are near one of the judged pictures, uint64[M]."""
    near = np.zeros(len(hashes), bool)
    near[find_near_pairs(hashes, judged, FROM_JUDGED)[:, 0]] = True
    return near


def find_repeated_pictures(hashes: Hashes, labels: Sequence[object]) -> Flags:
    """bool[N]: which pictures repeat an earlier one of the same labels; an unlabelled one may repeat any."""
    repeated = np.zeros(len(hashes), bool)
    for first, second in find_near_pairs(hashes, distance=FROM_EACH_OTHER):
        if not repeated[first] and (not labels[second] or labels[first] == labels[second]):
            repeated[second] = True
    return repeated
