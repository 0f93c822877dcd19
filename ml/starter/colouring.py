"""Gives a trained network its colour part: the last step of making the starter weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from tqdm import trange

from ml import resnet
from ml.preprocess import prepare
from ml.resnet import Architecture, ResNet, normalised
from ml.training.photo_pixels import Photos
from ml.training.pixels import PixelCache

from .mask import train_mask
from .palette import palette, selective_sums
from .whitening import form_views, whitening

BATCH = 128


def coloured(form: ResNet, shape: Architecture, photos: Photos, *, pictures: int, scenes: int, seed: int) -> ResNet:
    """`shape` with the layers of `form`, a network without colours, and a mask and bins learned from `photos`.

    `pictures` of them are looked at for what varies and which colours are common, `scenes` are made up for the mask.
    """
    network = resnet.create(shape)
    turn = whitening(form_views(form, photos, shape.size, pictures=pictures, seed=seed), shape.dim - shape.colours)
    state = dict(form.state_dict())
    for name in ("fc.weight", "fc.bias"):
        state[name] = (turn @ state[name].double()).float()
    network.load_state_dict(state, strict=False)
    network.colour.centres.copy_(palette(photos.pixels, shape.colours, seed=seed))
    train_mask(network, photos.pixels, shape.size, scenes=scenes, epochs=8, seed=seed)
    histograms = _histograms(network, photos.pixels, shape.size, pictures, seed)
    network.colour.sums.copy_(selective_sums(histograms, seed=seed))
    return network


@torch.inference_mode()
def _histograms(network: ResNet, photos: PixelCache, size: int, count: int, seed: int) -> Tensor:
    """float32[count, bins], fewer where there are fewer photos."""
    chosen = np.random.default_rng(seed).permutation(len(photos))[:count]
    parts = []
    for start in trange(0, len(chosen), BATCH, desc="colours", disable=None):
        views = [prepare(photos.picture(position), size) for position in chosen[start : start + BATCH]]
        batch = normalised(torch.from_numpy(np.stack(views)))
        with torch.autocast("cpu", torch.bfloat16):
            mask = network.mask(network.maps(batch))
        parts.append(network.colour.histogram(batch, mask))
    return torch.cat(parts)
