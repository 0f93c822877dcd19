"""Colours that a file explains in numbers, not by a profile, to sRGB: chromaticities and a transfer curve.

The numbers are those of ITU-T H.273, which PNG (cICP), AVIF and HEIC (nclx) share, or the gAMA and cHRM of PNG. What
they mean to a browser is the measure; Chromium agrees within three levels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float64]

MAX_PROFILE_BYTES = 4 * 1024 * 1024  # a larger ICC profile is passed over

# x and y of red, green, blue and white, by H.273's number.
_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
SRGB_PRIMARIES = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65)
_PRIMARIES = {
    4: (0.670, 0.330, 0.210, 0.710, 0.140, 0.080, *_C),
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, *_C),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    10: (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65),
}
WIDE_PRIMARIES = _PRIMARIES[9]
POWER, SRGB, PQ, HLG = 4, 13, 16, 18

REFERENCE_WHITE = 203  # nits; ITU-R BT.2408 puts the white of paper there
PEAK = 1000 / REFERENCE_WHITE  # the brightest highlight of a usual display of high dynamic range

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_STEPS_PER_WHITE = 256
_BAND_PIXELS = 1 << 18  # converted at a time, so that floating numbers of a whole picture never exist


class Coding(NamedTuple):
    """Chromaticities and the transfer curve by H.273's number; `POWER` is a plain power with `exponent`."""

    primaries: tuple[float, ...]
    transfer: int
    exponent: float = 2.2


def code_colours(primaries: int, transfer: int) -> Coding | None:
    """What two numbers of H.273 say; None where that is sRGB, or nothing that is known."""
    if transfer not in _TRANSFERS:
        transfer = SRGB
    if transfer == SRGB and primaries not in _PRIMARIES:
        return None
    return Coding(_PRIMARIES.get(primaries, SRGB_PRIMARIES), transfer)


def code_power(exponent: float, primaries: tuple[float, ...] = SRGB_PRIMARIES) -> Coding | None:
    """Light that is a plain power of the levels; None where these chromaticities span no colours."""
    coding = Coding(primaries, POWER, exponent)
    try:
        with np.errstate(all="raise"):
            matrix = _matrix_between(primaries, SRGB_PRIMARIES)
    except (ArithmeticError, ValueError):
        return None
    return coding if np.isfinite(matrix).all() else None


def convert_coded_colours(picture: Image.Image, coding: Coding) -> Image.Image:
    """An RGB picture whose colours are coded so, in sRGB; high dynamic range is mapped to what paper shows.

    Colours outside sRGB are clipped, as browsers do.
    """
    result = Image.new("RGB", picture.size)
    rows = max(1, _BAND_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        band = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        result.paste(Image.fromarray(_convert_band(np.asarray(band), coding)), (0, top))
    return result


def _convert_band(levels: npt.NDArray[np.uint8], coding: Coding) -> npt.NDArray[np.uint8]:
    light, primaries = _light_of_levels(coding)[levels], coding.primaries
    if coding.transfer == HLG:
        light *= _scale_by_system_gamma(light, primaries)
    if coding.transfer in (PQ, HLG):
        # The brightest channel is one of the wide primaries; that of narrow ones would be compressed more.
        light, primaries = light @ _matrix_between(primaries, WIDE_PRIMARIES), WIDE_PRIMARIES
        # Along an axis of three, numpy's own maximum takes longer than all the rest.
        brightest = reduce(np.maximum, np.moveaxis(light, 2, 0))
        light *= _compress_highlights(brightest[..., None])
    light = light @ _matrix_between(primaries, SRGB_PRIMARIES)
    steps = np.clip(light, 0, 1) * np.float32(len(_srgb_levels()) - 1)
    return _srgb_levels()[(steps + np.float32(0.5)).astype(np.uint16)]


def _compress_highlights(brightest: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The factor for each pixel by its brightest channel, where 1 is the white of paper.

    The reference-white tone mapping of SMPTE ST 2094-50, which Chromium uses: paper at half the light, so that
    highlights of up to 1,000 nits stay apart above it, along a quadratic Bezier curve.
    """
    steps = np.minimum(brightest * np.float32(_STEPS_PER_WHITE), len(_highlight_factors()) - 1)
    return _highlight_factors()[steps.astype(np.uint16)]


@lru_cache(maxsize=1)
def _highlight_factors() -> npt.NDArray[np.float32]:
    """The factor for each step of light up to the most that PQ can code."""
    t = np.linspace(0, 1, 257)
    knee, end = (1, 0.5), (PEAK, 1)
    # The middle point lies on the straight line through the knee, 65 % of the way to where that reaches the top.
    middle = 0.35 * knee[0] + 0.65 * end[1] / knee[1], 0.35 * knee[1] + 0.65 * end[1]
    x, y = ((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c for a, b, c in zip(knee, middle, end, strict=True))
    light = np.arange(1, 50 * _STEPS_PER_WHITE) / _STEPS_PER_WHITE
    factors = np.interp(light, np.concatenate([[0], x]), np.concatenate([[0], y])) / light
    return np.concatenate([factors[:1], factors]).astype(np.float32)


def _scale_by_system_gamma(light: npt.NDArray[np.float32], primaries: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """HLG codes the light of the scene; a display of 1,000 nits shows it with a system gamma of 1.2 (BT.2100)."""
    luminance = light @ _matrix_to_xyz(primaries)[1].astype(np.float32)
    return np.float32(PEAK) * np.maximum(luminance, 1e-9)[..., None] ** np.float32(0.2)


@lru_cache(maxsize=16)
def _light_of_levels(coding: Coding) -> npt.NDArray[np.float32]:
    """The light of each of 256 levels."""
    levels = np.linspace(0, 1, 256)
    if coding.transfer == POWER:
        return (levels**coding.exponent).astype(np.float32)
    return _TRANSFERS[coding.transfer](levels).astype(np.float32)


@lru_cache(maxsize=1)
def _srgb_levels() -> npt.NDArray[np.uint8]:
    """The sRGB level of each of 65,536 steps of light."""
    light = np.linspace(0, 1, 1 << 16)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (encoded * 255 + 0.5).astype(np.uint8)


def _curve(toe: float, slope: float, offset: float, exponent: float) -> Callable[[Floats], Floats]:
    """A power curve with a straight toe, as most standards have it."""
    return lambda v: np.where(v <= toe, v / slope, ((v + offset) / (1 + offset)) ** exponent)


def _light_of_pq(v: Floats) -> Floats:
    """SMPTE ST 2084, in multiples of the reference white."""
    root = v ** (32 / 2523)
    ratio = np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)
    return 10_000 / REFERENCE_WHITE * ratio ** (16384 / 2610)


def _light_of_hlg(v: Floats) -> Floats:
    return np.where(v <= 0.5, v * v / 3, (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12)


_TRANSFERS: dict[int, Callable[[Floats], Floats]] = {
    # What cameras of television code by, displays show with a power of 2.4 (BT.1886).
    **dict.fromkeys((1, 6, 11, 14, 15), lambda v: v**2.4),
    POWER: lambda v: v**2.2,
    5: lambda v: v**2.8,
    7: _curve(0.0912, 4, 0.1115, 1 / 0.45),
    8: lambda v: v,
    SRGB: _curve(0.04045, 12.92, 0.055, 2.4),
    PQ: _light_of_pq,
    17: lambda v: 52.37 / 48 * v**2.6,
    HLG: _light_of_hlg,
}


@lru_cache(maxsize=16)
def _matrix_between(primaries: tuple[float, ...], others: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """What takes rows of linear light from some primaries to others, white to white (Bradford)."""
    source, target = _matrix_to_xyz(primaries), _matrix_to_xyz(others)
    cones = (_BRADFORD @ target.sum(axis=1)) / (_BRADFORD @ source.sum(axis=1))
    matrix = np.linalg.inv(target) @ np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ source
    return matrix.T.astype(np.float32)


def _matrix_to_xyz(primaries: tuple[float, ...]) -> Floats:
    x, y = np.array(primaries[0::2]), np.array(primaries[1::2])
    columns = np.stack([x, y, 1 - x - y])
    white = columns[:, 3] / y[3]
    return columns[:, :3] * np.linalg.solve(columns[:, :3], white)
