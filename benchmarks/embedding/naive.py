"""The loop that most projects write, to compare with: open, resize, `model(x)`, one picture at a time, in torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from ml.inference.arrays import Vectors
from ml.network.torchvision_compat import import_torchvision
from ml.recipe import IMAGENET_MEAN, IMAGENET_STD

transforms = import_torchvision().transforms
PREPARE = transforms.Compose(
    [
        transforms.Resize(224),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize([value / 255 for value in IMAGENET_MEAN], [value / 255 for value in IMAGENET_STD]),
    ]
)


@torch.no_grad()
def embed_one_by_one(network: nn.Module, paths: Sequence[Path]) -> Vectors:
    """The vectors float32[n, dim] of the photos, each of length 1."""
    vectors = [network(PREPARE(Image.open(path).convert("RGB"))[None])[0].numpy() for path in paths]
    return np.stack([vector / np.linalg.norm(vector) for vector in vectors])
