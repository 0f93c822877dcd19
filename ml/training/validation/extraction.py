"""Vectors of decoded pictures from a torch network, for judging it while it trains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ml.inference.arrays import resize_and_crop
from ml.network.resnet import UnitLength, normalise_pixels
from ml.training.data.pixels import PixelCache
from ml.training.precision import autocast


def extract_vectors(
    network: nn.Module, pixels: PixelCache, size: int, device: torch.device, *, batch: int = 128
) -> npt.NDArray[np.float32]:
    """Return float32[N, dim], rows of length 1, of pictures that are prepared as for searching.

    Layers are in training or evaluation mode afterwards as they were before.
    """
    # Each layer gets its own mode back: train() would also switch frozen layers, which are never in training mode.
    modes = [(layer, layer.training) for layer in network.modules()]
    network.eval()
    parts = []
    with torch.inference_mode(), autocast(device):
        for start in range(0, len(pixels), batch):
            views = [resize_and_crop(pixels.picture(i), size) for i in range(start, min(start + batch, len(pixels)))]
            pictures = normalise_pixels(torch.from_numpy(np.stack(views)).to(device))
            parts.append(UnitLength(network)(pictures).float().cpu().numpy())
    for layer, training in modes:
        layer.training = training
    return np.concatenate(parts)
