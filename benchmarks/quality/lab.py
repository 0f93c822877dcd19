"""Finds colours at a given distance from another, in CIE Lab under D65, where distances are as people see them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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
    srgb = np.array(colour) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ linear
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
    linear = linear.clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (int(value) for value in np.rint(srgb * 255))
    return red, green, blue
