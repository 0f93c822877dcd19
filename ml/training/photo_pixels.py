"""A set of labelled pictures, decoded: what a run is trained or judged on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.photo_set import PhotoSet

from .pixels import PixelCache, cached


@dataclass(frozen=True)
class Photos:
    """N decoded pictures and their classes: `targets` int64[N] are positions in `classes`."""

    pixels: PixelCache
    targets: npt.NDArray[np.int64]
    classes: list[str]
    emphasis: npt.NDArray[np.float64]  # float64[classes]: how much more often than others a class is shown
    epoch_length: int  # pictures shown in an epoch


def decoded(
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
    return Photos(
        cached(photos.images, side, cache), photos.targets(names), names, weights, epoch_length or len(photos)
    )
