"""Colours at a given distance from another, as people see it, and photos in another light, as a camera would take them.

Distances are those of CIE Lab under D65; exposure and white balance scale linear light.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.network.colour import TO_XYZ

RGB = tuple[int, int, int]
Floats = npt.NDArray[np.float64]


def find_near_colours(colour: RGB, distance: float) -> list[RGB]:
    """Colours `distance` (CIE76) lighter, darker, stronger, paler, of both hues beside; only those a screen shows."""
    start = convert_to_lab(colour)
    chroma = np.hypot(*start[1:])
    out = start[1:] / chroma if chroma > 1 else np.array([1.0, 0.0])
    steps = [(1, 0, 0), (-1, 0, 0), (0, *out), (0, *-out), (0, -out[1], out[0]), (0, out[1], -out[0])]
    found = (_convert_to_rgb(start + distance * np.array(step)) for step in steps)
    return [near for near in found if near is not None]


def convert_to_lab(colour: RGB) -> Floats:
    """L, a and b of a colour."""
    xyz = TO_XYZ @ _to_linear(np.array(colour))
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _convert_to_rgb(lab: Floats) -> RGB | None:
    """The colour of L, a and b, None where no screen shows it."""
    y = (lab[0] + 16) / 116
    roots = np.array([y + lab[1] / 500, y, y - lab[2] / 200])
    xyz = np.where(roots > 6 / 29, roots**3, (roots - 16 / 116) / 7.787)
    linear = np.linalg.solve(TO_XYZ, xyz)
    if linear.min() < -0.001 or linear.max() > 1.001:
        return None
    red, green, blue = (int(value) for value in _to_srgb(linear.clip(0, 1)))
    return red, green, blue


def relight_photo(photo: Image.Image, stops: float, *, red: float = 1.0, blue: float = 1.0) -> Image.Image:
    """An RGB photo exposed by `stops` (EV) more, its red and blue light times these factors.

    Each sRGB level becomes linear light, is multiplied by 2 ** stops and its channel's factor, clipped at white, and
    becomes the nearest sRGB level again.
    """
    light = _to_linear(np.arange(256)) * 2.0**stops
    curves = [_to_srgb(np.minimum(light * factor, 1.0)) for factor in (red, 1.0, blue)]
    return photo.point([int(level) for curve in curves for level in curve])


def _to_linear(levels: npt.NDArray[np.int64]) -> Floats:
    """The light, from 0 to 1, of levels in sRGB (IEC 61966-2-1)."""
    srgb = levels / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _to_srgb(linear: Floats) -> Floats:
    """The nearest levels, from 0 to 255, of linear light from 0 to 1."""
    return np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))
