"""Finishes a trained network: its form is whitened and gets a colour part beside it, learned from photos in minutes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ml.network import resnet
from ml.network.resnet import Architecture, GeneralisedMean, ResNet
from ml.training.data.photo_pixels import Photos
from ml.training.validation.extraction import extract_vectors

from .palette import learn_palette, make_random_projections
from .whitening import learn_last_layer, pool_views

POWER = 2.0  # of the generalised mean in which a form is pooled


def whiten_and_add_colours(form: ResNet, shape: Architecture, photos: Photos, *, pictures: int, seed: int) -> ResNet:
    """Return a network of `shape` with the layers and the mask of `form` and a histogram of colours.

    Its last layer is whitened, and the bins of its histogram are learned, from `pictures` of `photos`. `form` is any
    ResNet of the same kind that has a mask; `shape` may pool earlier stages too, and pools by a generalised mean.
    """
    network = resnet.create_network(shape)
    layers = {name: tensor for name, tensor in form.state_dict().items() if not name.startswith("fc.")}
    network.load_state_dict(layers, strict=False)  # the last layer and the histogram are learned below
    if isinstance(network.avgpool, GeneralisedMean):
        network.avgpool.p.data.fill_(POWER)
    pooled = pool_views(network, photos, shape.size, pictures=pictures, seed=seed)
    network.fc = learn_last_layer(form.fc, pooled, shape.dim - shape.colours)
    network.colour.centres.copy_(learn_palette(photos.pixels, shape.colours, network.colour.lab, seed=seed))
    chosen = np.random.default_rng(seed).permutation(len(photos.pixels))[:pictures]
    histograms = extract_vectors(_Histograms(network), photos.pixels.subset(chosen), shape.size, torch.device("cpu"))
    network.colour.sums.copy_(make_random_projections(torch.from_numpy(histograms), seed=seed))
    return network


class _Histograms(nn.Module):
    """The histograms of colours that a network sees, before they are made selective."""

    def __init__(self, network: ResNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[N, 3, S, S] -> float32[N, bins], rows of length 1."""
        return self.network.colour.soft_histogram(pictures, self.network.mask(pictures))
