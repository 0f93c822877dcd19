"""The network: a torchvision ResNet whose last layer gives the vector. Needs torch; inference does not."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from .colour import ColourHistogram, ItemMask
from .errors import MlError
from .recipe import IMAGENET_MEAN, IMAGENET_STD
from .torchvision_compat import import_torchvision

ARCHITECTURES = ("resnet18", "resnet34", "resnet50")
POOLINGS = ("average", "gem")


class NoSuchNetworkError(MlError):
    """A network of this name or size cannot be made."""


@dataclass(frozen=True)
class Architecture:
    """The shape of a network: enough to make it again, and the side of the square pictures it was trained for."""

    arch: str = "resnet50"
    dim: int = 1000
    pooling: str = "average"
    size: int = 224
    colours: int = 0  # dimensions at the end of the vector that hold colours
    colour_share: float = 0.0  # of the similarity, that colours decide

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.arch} with {self.dim} dimensions"


def create(shape: Architecture) -> ResNet:
    """A network float32[N, 3, S, S] -> float32[N, dim], not normalised, its weights drawn from torch's generator.

    Raises:
        NoSuchNetworkError: the network or its pooling is unknown, or it has no dimensions.
    """
    if shape.arch not in ARCHITECTURES:
        raise NoSuchNetworkError(f"Unknown architecture {shape.arch!r}; known: {', '.join(ARCHITECTURES)}.")
    if shape.pooling not in POOLINGS:
        raise NoSuchNetworkError(f"Unknown pooling {shape.pooling!r}; known: {', '.join(POOLINGS)}.")
    if shape.dim < 1:
        raise NoSuchNetworkError(f"A vector has at least 1 dimension, not {shape.dim}.")
    if not 0 <= shape.colours < shape.dim:
        raise NoSuchNetworkError(
            f"A vector of {shape.dim} dimensions cannot hold {shape.colours} colours and a form; "
            f"choose at least {shape.colours + 1}."
        )
    return ResNet(shape)


class ResNet(nn.Module):
    """A torchvision ResNet, its layers under their own names, whose vector may end in a part that holds colours."""

    conv1: nn.Module
    bn1: nn.Module
    relu: nn.Module
    maxpool: nn.Module
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module
    avgpool: nn.Module
    fc: nn.Linear
    mask: ItemMask
    colour: ColourHistogram

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        layers = import_torchvision().models.get_model(shape.arch, weights=None, num_classes=shape.dim - shape.colours)
        for name, layer in layers.named_children():
            self.add_module(name, layer)
        if shape.pooling == "gem":
            self.avgpool = GeneralisedMean()
        self.colour_share = shape.colour_share
        if shape.colours:
            width = self.fc.in_features
            self.mask = ItemMask((width // 8, width // 4, width // 2, width)).requires_grad_(False)  # see ml.starter
            self.colour = ColourHistogram(shape.colours)

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[N, 3, S, S] -> float32[N, dim]; a colour part has its share of the squared length."""
        maps = self.maps(pictures)
        form = self.fc(self.avgpool(maps[-1]).flatten(1))
        if not hasattr(self, "colour"):
            return form
        form = form.float()
        length = form.norm(dim=1, keepdim=True) * math.sqrt(self.colour_share / (1 - self.colour_share))
        return torch.cat([form, self.colour(pictures, self.mask(maps)) * length], dim=1)

    def maps(self, pictures: Tensor) -> list[Tensor]:
        """float32[N, 3, S, S] -> features of a quarter of its side to one of 32 parts: four of float[N, C, s, s]."""
        maps = [self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(pictures)))))]
        for layer in (self.layer2, self.layer3, self.layer4):
            maps.append(layer(maps[-1]))
        return maps


class GeneralisedMean(nn.Module):
    """Pooling between average (p = 1) and maximum (p -> infinity), p learned (Radenović et al., TPAMI 2019)."""

    def __init__(self, p: float = 3.0, floor: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(p))
        self.floor = floor

    def forward(self, maps: Tensor) -> Tensor:
        """float[N, C, H, W] -> float32[N, C, 1, 1]; powers of small numbers need more than bf16."""
        with torch.autocast(maps.device.type, enabled=False):
            return maps.float().clamp(min=self.floor).pow(self.p).mean((2, 3), keepdim=True).pow(1 / self.p)


class UnitLength(nn.Module):
    """A network whose rows are scaled to length 1; a zero row stays zero."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[N, 3, S, S] -> float32[N, dim]."""
        return normalize(self.network(pictures))


def normalised(views: Tensor) -> Tensor:
    """uint8[N, S, S, 3] -> float32[N, 3, S, S] as ImageNet networks expect it."""
    mean, std = (torch.tensor(values, device=views.device) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((views.float() - mean) / std).permute(0, 3, 1, 2)
