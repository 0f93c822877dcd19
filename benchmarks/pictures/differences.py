"""How two views of one picture differ, by a measure that leaves lossy decoders the freedom which they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .kinds import Kind
from .views import Pixels, View

# Levels of 255. Conversions between colour spaces round differently by one or two, and by a little more in shadows.
MEAN_LEVELS = 3.0
WORST_LEVELS = 10.0
# Decoders interpolate the colours of lossy formats, which are stored at half the size, each in its own way; edges
# differ by tens of levels, means of blocks of so many pixels do not.
SMOOTHING = 8
SHARE_BEYOND = 0.003


@dataclass(frozen=True)
class Difference:
    """In levels of 255: the mean over the picture of the channel that differs most, and the worst place but a few."""

    kind: Kind
    mean: float = 0.0
    worst: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} (mean {self.mean:.1f}, worst {self.worst:.0f})" if self.worst else str(self.kind)


def measure_difference(ours: View, theirs: View, *, exact: bool) -> Difference | None:
    """What differs; None where it is what rounding and interpolating explain. `exact`: of a lossless format."""
    if ours.size == theirs.size and (found := _measure_pixels(ours.pixels, theirs.pixels, exact=exact)) is None:
        return None
    if _is_turned(ours, theirs, exact=exact):
        return Difference(Kind.ORIENTATION)
    if ours.size != theirs.size:
        return Difference(Kind.SIZE)
    return found


def _measure_pixels(ours: Pixels, theirs: Pixels, *, exact: bool) -> Difference | None:
    levels = _subtract(ours, theirs) if exact else _subtract(_smooth(ours), _smooth(theirs))
    mean = float(levels.mean(axis=(0, 1)).max())
    worst = float(np.quantile(levels.max(axis=2), 1.0 if exact else 1 - SHARE_BEYOND))
    if mean > MEAN_LEVELS:
        return Difference(Kind.COLOUR, mean, worst)
    return Difference(Kind.PLACES, mean, worst) if worst > WORST_LEVELS else None


def _subtract(ours: Pixels, theirs: Pixels) -> NDArray[np.int16]:
    return np.abs(ours.astype(np.int16) - theirs)


def _smooth(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).reduce(SMOOTHING))


def _is_turned(ours: View, theirs: View, *, exact: bool) -> bool:
    """Whether another of the eight orientations makes them alike."""
    for turn in Image.Transpose:
        turned = np.asarray(Image.fromarray(ours.pixels).transpose(turn))
        if turned.shape == theirs.pixels.shape and _measure_pixels(turned, theirs.pixels, exact=exact) is None:
            return True
    return False
