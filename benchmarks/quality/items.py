"""Where the item of a photo is, told without any network, so that no model is judged by what a relative of it sees.

The frame of a photo mostly shows what lies behind, its middle mostly the item. Mixtures of normal distributions learn
the colours of both, and share out all pixels anew (after GrabCut, Rother et al., SIGGRAPH 2004, without its graph cut:
a blurred likelihood keeps neighbours together).
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

SIDE = 48  # pixels that are looked at, on each side
FRAME = 0.08  # of each side, taken for background from first to last
MIDDLE = 0.3  # the radius of what is taken for the item at first
ROUNDS = 2
BLUR = 1.5
COMPONENTS = 3

Bools = npt.NDArray[np.bool_]


def find_item(photo: Image.Image) -> Bools:
    """bool[height, width]: whether each pixel of an RGB photo belongs to the item."""
    small = photo.resize((SIDE, SIDE), Image.Resampling.BOX).convert("LAB")
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    frame = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) < FRAME
    item = np.hypot(x - 0.5, y - 0.5) < MIDDLE
    colours = np.asarray(small, np.float64).reshape(-1, 3)
    background = frame
    for _ in range(ROUNDS):
        item = _compare_likelihoods(colours, item.ravel(), background.ravel()).reshape(SIDE, SIDE) & ~frame
        if item.sum() < COMPONENTS * 8:
            break
        background = ~item
    return np.asarray(Image.fromarray(item).resize(photo.size, Image.Resampling.NEAREST), bool)


def _compare_likelihoods(colours: npt.NDArray[np.float64], item: Bools, background: Bools) -> Bools:
    """bool[N]: whether a pixel, with its neighbours, looks more like what is taken for the item."""
    ratio = (_fit_log_likelihood(colours, item) - _fit_log_likelihood(colours, background)).reshape(SIDE, SIDE)
    picture = Image.fromarray(np.clip(ratio, -10, 10).astype(np.float32) * 12 + 128).convert("L")
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(BLUR))).ravel() > 128


def _fit_log_likelihood(colours: npt.NDArray[np.float64], where: Bools) -> npt.NDArray[np.float64]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(COMPONENTS, covariance_type="full", reg_covar=4.0, max_iter=10, random_state=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few rounds are enough to tell two places apart
        return mixture.fit(colours[where]).score_samples(colours)
