"""Weights of a real ResNet-18 that compress to a few kilobytes: all but eight channels of every layer are zero."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from ml.network.torchvision_compat import import_torchvision

ALIVE = 8  # channels of each layer that compute something
BRANCH = 0.1  # what a block adds to its input
SEED = 0
MEAN = torch.tensor((123.675, 116.28, 103.53))
STD = torch.tensor((58.395, 57.12, 57.375))


def write_network(path: Path, photos: Sequence[bytes], *, dim: int, size: int) -> None:
    """Write a weights file that `models register` takes, of a network that tells these photos apart."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(SEED)
        network = import_torchvision().models.resnet18(weights=None)
        head = nn.Linear(network.fc.in_features, dim)
        network.fc = nn.Identity()
        keep_few_channels(network, head)
        fit_layers(network, head, torch.stack([read_pixels(photo, size) for photo in photos]))
        network.fc = head
    shape = {"arch": "resnet18", "dim": dim, "pooling": "average", "size": size, "colours": 0, "colour_share": 0.0}
    save_file(network.state_dict(), path, {"network": json.dumps({"architecture": shape})})


def keep_few_channels(network: nn.Module, head: nn.Linear) -> None:
    for name, layer in network.named_modules():
        if name.endswith(".bn2"):
            layer.weight.fill_(BRANCH)  # random layers on random layers make a picture unlike its own copy
        if isinstance(layer, nn.Conv2d):
            layer.weight[ALIVE:] = 0
            if layer.in_channels > ALIVE:  # the first layer reads colours
                layer.weight[:, ALIVE:] = 0
    head.weight[:, ALIVE:] = 0


def fit_layers(network: nn.Module, head: nn.Linear, pictures: Tensor) -> None:
    """Centre and scale what each layer gives for these pictures, so that their vectors point in all directions."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0  # the statistics of one pass over all pictures take the place of those of training
    network.train()
    network(pictures)
    network.eval()
    features = network(pictures)
    head.weight /= features.std(dim=0).clamp(min=1e-3)
    head.bias.copy_(-(head.weight @ features.mean(dim=0)))


def read_pixels(photo: bytes, size: int) -> Tensor:
    """float32[3, size, size] of an encoded picture."""
    picture = Image.open(io.BytesIO(photo)).convert("RGB").resize((size, size))
    return ((torch.from_numpy(np.array(picture)) - MEAN) / STD).permute(2, 0, 1)
