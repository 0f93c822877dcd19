"""Photos in another light, as a camera would have taken them: exposure and white balance scale linear light."""

from __future__ import annotations

import numpy as np
from PIL import Image

LEVELS = np.arange(256) / 255
LINEAR = np.where(LEVELS <= 0.04045, LEVELS / 12.92, ((LEVELS + 0.055) / 1.055) ** 2.4)  # sRGB, IEC 61966-2-1


def relight_photo(photo: Image.Image, stops: float, *, red: float = 1.0, blue: float = 1.0) -> Image.Image:
    """An RGB photo exposed by `stops` (EV) more, its red and blue light times these factors.

    Each sRGB level becomes linear light, is multiplied by 2 ** stops and its channel's factor, clipped at white, and
    becomes the nearest sRGB level again; what was clipped before stays as bright as it was.
    """
    return photo.point([level for factor in (red, 1.0, blue) for level in _make_curve(factor * 2.0**stops)])


def _make_curve(factor: float) -> list[int]:
    """The level that each of 256 becomes."""
    linear = np.minimum(LINEAR * factor, 1.0)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return [int(level) for level in np.rint(255 * srgb)]
