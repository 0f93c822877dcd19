"""Learns the last layer of a form: what is pooled, joined, centred, weighed by direction and shortened.

Where views of one picture differ, a direction says little about the item. All of it is linear, so it is written into
one layer and costs nothing when pictures are embedded.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import trange

from ml.network.item_mask import SIDE
from ml.network.resnet import ResNet, normalise_pixels
from ml.training.data.augmentation import Augmentation
from ml.training.data.batches import Batches, draw_balanced_order
from ml.training.data.photo_pixels import Photos
from ml.training.precision import autocast

from .mask import predict_item_masks

VIEWS = 3
BATCH = 128
BALANCE = 0.6
LOOKS = Augmentation(area=(0.5, 1.0), aspect=1.2, brightness=0.15, contrast=0.15, saturation=0.1, erase=0.0, move=0.7)

# A direction that differs between views of one picture says little about it, so each is divided by its variance between
# views to this power. At 0.5 all directions would vary alike; less whitens them in part.
POWER = 0.1
EARLIER = 0.35  # the mean length of what earlier stages add to the form, beside 1 of what its last layer gave
FLOOR = 0.1  # this part of the mean variance is added to every variance, so that no direction is divided by almost 0


@torch.inference_mode()
def pool_views(network: ResNet, photos: Photos, size: int, *, pictures: int, seed: int) -> Tensor:
    """Return what the last layer takes, float32[pictures, VIEWS, channels], of views; the network must have a mask.

    Views of a last batch that is not full are left out. Items, where the mask sees them, are put before other pictures.
    """
    network.eval()
    drawn = draw_balanced_order(photos.targets, photos.emphasis, pictures, BALANCE, np.random.default_rng(seed))
    shown, order = np.unique(drawn, return_inverse=True)
    pixels = photos.pixels.subset(shown)
    masks = predict_item_masks(network.mask, pixels, SIDE)
    photos = Photos(pixels, photos.targets[shown], photos.classes, photos.emphasis, len(order), masks=masks)
    views = []
    for view in trange(VIEWS, desc="views", disable=None):
        batches = Batches(photos, order, batch=BATCH, size=size, how=LOOKS, seed=seed + view)
        parts = []
        for batch in batches:
            with autocast(torch.device("cpu")):
                seen = normalise_pixels(batch.views)
                parts.append(network.pool_stages(seen, network.mask(seen)).float())
        views.append(torch.cat(parts))
    return torch.stack(views, dim=1)


def learn_last_layer(head: nn.Linear, pooled: Tensor, dim: int) -> nn.Linear:
    """Return a layer in place of `head`, channels to `dim`, from what is pooled of views, float[N, V, channels].

    `head`, the layer that the form was trained with, may take the last of these channels only, those of the last stage;
    the others are joined to what it gives. Then the mean is taken away and the rest is whitened.
    """
    weight, bias = _join_earlier_stages(head, pooled.double())
    views = pooled.double() @ weight.T + bias
    centre = views.mean((0, 1))
    turn = learn_whitening(views - centre, dim)
    layer = nn.Linear(pooled.shape[2], dim)
    with torch.no_grad():
        layer.weight.copy_(turn @ weight)
        layer.bias.copy_(turn @ (bias - centre))
    return layer


@torch.no_grad()
def _join_earlier_stages(head: nn.Linear, pooled: Tensor) -> tuple[Tensor, Tensor]:
    """Return a weight, float64[D, channels], and a bias: each part about its mean has the length it should have."""
    weight, bias = head.weight.double(), head.bias.double()
    earlier = pooled.shape[2] - head.in_features
    parts = [pooled[..., earlier:] @ weight.T, pooled[..., :earlier]]
    late, early = ((part - part.mean((0, 1))).norm(dim=2).mean() for part in parts)
    if not earlier:
        return weight / late, bias / late
    joined = weight.new_zeros(earlier + len(weight), pooled.shape[2])
    joined[:earlier, :earlier].fill_diagonal_(float(EARLIER / early))
    joined[earlier:, earlier:] = weight / late
    return joined, torch.cat([bias.new_zeros(earlier), bias / late])


def learn_whitening(views: Tensor, dim: int) -> Tensor:
    """Return float64[dim, D] to multiply vectors with, from float[N, V, D]: V views of each of N pictures.

    Vectors are whitened in part, by the covariance of views of a picture, and then reduced to their principal
    components (after Radenović et al., TPAMI 2019, section 3.3).
    """
    views = views.double()
    apart = (views - views.mean(1, keepdim=True)).flatten(0, 1)
    variances, directions = torch.linalg.eigh(apart.T @ apart / len(apart))
    scale = (variances.clamp(min=0) / variances.mean() + FLOOR).pow(-POWER)
    even = (directions * scale) @ directions.T
    # Vectors are compared by their angles, so the components are those of vectors of length 1.
    units = torch.nn.functional.normalize(views.flatten(0, 1) @ even)
    _, components = torch.linalg.eigh(units.T @ units)
    return components[:, -dim:].T @ even
