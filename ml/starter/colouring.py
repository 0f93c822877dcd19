"""Gives a trained network its colour part: the last step of making the starter weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ml.network import resnet
from ml.network.resnet import Architecture, ResNet
from ml.training.data.photo_pixels import Photos
from ml.training.validation.extraction import extract_vectors

from .palette import learn_palette, make_random_projections
from .whitening import embed_views, learn_whitening


def whiten_and_add_colours(form: ResNet, shape: Architecture, photos: Photos, *, pictures: int, seed: int) -> ResNet:
    """Return a network of `shape` with the layers and the mask of `form` and a histogram of colours.

    Its last layer is whitened, and the bins of its histogram are learned, from `pictures` of `photos`. `form` must have
    a mask.
    """
    network = resnet.create_network(shape)
    layers = {name: tensor for name, tensor in form.state_dict().items() if not name.startswith("fc.")}
    network.load_state_dict(layers, strict=False)  # the last layer and the histogram are learned below
    # Whitening is linear, so it is written into the last layer and costs nothing when pictures are embedded.
    turn = learn_whitening(
        embed_views(form, photos, shape.size, pictures=pictures, seed=seed), shape.dim - shape.colours
    )
    with torch.no_grad():
        network.fc.weight.copy_(turn @ form.fc.weight.double())
        network.fc.bias.copy_(turn @ form.fc.bias.double())
    network.colour.centres.copy_(learn_palette(photos.pixels, shape.colours, seed=seed))
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
