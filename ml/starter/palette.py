"""Learns the bins of the colour histogram, and the sums over them that make it selective."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from ml.inference.arrays import resize_and_crop
from ml.network.colour import LabColours
from ml.network.resnet import normalise_pixels
from ml.training.data.pixels import PixelCache

PHOTOS = 1_500
PER_PHOTO = 20
EVERYWHERE = 15_000  # evenly drawn colours beside those of photos, so that rare ones have bins near them too
# This part of the mean variance is added to every variance, or colours hardly ever seen would decide everything.
RARE = 0.5


def learn_palette(pixels: PixelCache, bins: int, lab: LabColours, *, seed: int = 1) -> Tensor:
    """Return float32[bins, 3]: centres, as `lab` has colours, by k-means over those of photos and of the RGB cube.

    So they are dense where photos have many colours, and there are some everywhere.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(pixels), min(PHOTOS, len(pixels)), replace=False)
    small = np.stack([resize_and_crop(pixels.picture(position), 16).reshape(-1, 3) for position in chosen])
    seen = small[:, rng.choice(small.shape[1], PER_PHOTO, replace=False)].reshape(-1, 3)
    colours = np.concatenate([seen, rng.integers(0, 256, (EVERYWHERE, 3), dtype=np.uint8)])
    values = lab(normalise_pixels(torch.from_numpy(colours[None, None]))).reshape(3, -1).T.numpy()
    # One start of few iterations is enough: the bins must be dense in the right places, not the best ones.
    found = KMeans(bins, n_init=1, max_iter=30, random_state=seed).fit(values)
    return torch.from_numpy(found.cluster_centers_.astype(np.float32))


def make_random_projections(histograms: Tensor, *, seed: int) -> Tensor:
    """Return float32[2, bins, bins] for `ColourHistogram.sums`, from histograms float32[N, bins] of many photos.

    Both sums are of whitened histograms with random signs. The inner product of two products of such sums is, but for
    noise, the square of the inner product of the histograms (Kar and Karnick, AISTATS 2012).
    """
    bins = histograms.shape[1]
    # float32 would lose the small variances of colours that are hardly ever seen in rounding.
    moments = histograms.double().T @ histograms.double()
    variances, directions = torch.linalg.eigh(moments * bins / moments.trace())
    whitening = (directions * (variances.clamp(min=0) + RARE).rsqrt()) @ directions.T
    signs = torch.randint(0, 2, (2, bins, bins), generator=torch.Generator().manual_seed(seed)).double() * 2 - 1
    return (signs @ whitening / bins**0.5).float()
