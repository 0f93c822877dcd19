"""The centres of the colour histogram's bins: dense where photos have many colours, but everywhere some."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from ml.colour import Lab
from ml.preprocess import prepare
from ml.resnet import normalised
from ml.training.pixels import PixelCache

PHOTOS = 1_500
PER_PHOTO = 20
EVERYWHERE = 15_000  # colours drawn evenly from the RGB cube


def palette(pixels: PixelCache, bins: int, *, seed: int = 1) -> Tensor:
    """float32[bins, 3]: CIE Lab centres, by k-means over colours of photos and of the whole RGB cube."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(pixels), min(PHOTOS, len(pixels)), replace=False)
    small = np.stack([prepare(pixels.picture(position), 16).reshape(-1, 3) for position in chosen])
    seen = small[:, rng.choice(small.shape[1], PER_PHOTO, replace=False)].reshape(-1, 3)
    colours = np.concatenate([seen, rng.integers(0, 256, (EVERYWHERE, 3), dtype=np.uint8)])
    values = Lab()(normalised(torch.from_numpy(colours[None, None]))).reshape(3, -1).T.numpy()
    found = KMeans(bins, n_init=1, max_iter=30, random_state=seed).fit(values)
    return torch.from_numpy(found.cluster_centers_.astype(np.float32))
