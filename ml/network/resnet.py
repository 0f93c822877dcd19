"""The network: a torchvision ResNet whose last layer gives the vector. Needs torch; inference does not."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from ml.errors import MlError
from ml.recipe import IMAGENET_MEAN, IMAGENET_STD

from .colour import ColourHistogram
from .item_mask import ItemMask, item_probability
from .torchvision_compat import import_torchvision

ARCHITECTURES = ("resnet18", "resnet34", "resnet50")
POOLINGS = ("average", "gem")
BACKGROUND = 0.3  # the weight of a place that is surely background, beside 1.3 of the item: not quite a quarter


class NoSuchNetworkError(MlError):
    """A network of this name or size cannot be made."""


@dataclass(frozen=True)
class Architecture:
    """The shape of a network: enough to make it again, and the side of the square pictures it was trained for.

    Attributes:
        stages: how many of the last stages are pooled into the form; with 2, layer3 counts beside layer4.
        colours: dimensions at the end of the vector that hold colours.
        colour_share: the part of the similarity that colours decide.
        colour_blur, lightness, constancy: of these colours, as `ColourHistogram` has them.
    """

    arch: str = "resnet50"
    dim: int = 1000
    pooling: str = "average"
    size: int = 224
    stages: int = 1
    colours: int = 0
    colour_share: float = 0.0
    colour_blur: float = 4.0
    lightness: float = 1.0
    constancy: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.arch} with {self.dim} dimensions"


def create_network(shape: Architecture) -> ResNet:
    """A network float32[N, 3, S, S] -> float32[N, dim], not normalised, its weights drawn from torch's generator.

    Raises:
        NoSuchNetworkError: the network or its pooling is unknown, or its vector has no room for a form.
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
        self.stages = shape.stages
        if shape.stages > 1:
            # Each stage of a ResNet has half the channels of the next.
            channels = sum(self.fc.in_features >> earlier for earlier in range(shape.stages))
            self.fc = nn.Linear(channels, self.fc.out_features)
        self.colour_share = shape.colour_share
        if shape.colours:
            self.mask = ItemMask().requires_grad_(False)  # fine-tuning must not change where the item is
            self.colour = ColourHistogram(shape.colours, shape.colour_blur, shape.lightness, shape.constancy)

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[N, 3, S, S] -> float32[N, dim]; a colour part has its share of the squared length."""
        mask = self.mask(pictures) if hasattr(self, "mask") else None
        form = self.forward_form(pictures, mask)
        if mask is None or not hasattr(self, "colour"):
            return form
        form = form.float()
        length = form.norm(dim=1, keepdim=True) * math.sqrt(self.colour_share / (1 - self.colour_share))
        return torch.cat([form, self.colour(pictures, mask) * length], dim=1)

    def forward_form(self, pictures: Tensor, mask: Tensor | None = None) -> Tensor:
        """float32[N, 3, S, S], logits float[N, 1, H, W] of where items are -> float[N, dim - colours]."""
        seen: Tensor = self.fc(self.pool_stages(pictures, mask))
        return seen

    def pool_stages(self, pictures: Tensor, mask: Tensor | None = None) -> Tensor:
        """As `forward_form`, but what its last layer takes: float[N, channels], of earlier stages first."""
        seen = self.maxpool(self.relu(self.bn1(self.conv1(pictures))))
        stages = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            seen = layer(seen)
            stages.append(seen)
        return torch.cat([self._pool_stage(stage, mask) for stage in stages[-self.stages :]], dim=1)

    def _pool_stage(self, stage: Tensor, mask: Tensor | None) -> Tensor:
        pooled = self.avgpool(stage, mask) if isinstance(self.avgpool, GeneralisedMean) else self.avgpool(stage)
        return pooled.flatten(1)


class GeneralisedMean(nn.Module):
    """Pooling between average (p = 1) and maximum (p -> infinity), p learned (Radenović et al., TPAMI 2019)."""

    def __init__(self, p: float = 3.0, floor: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(p))
        self.floor = floor

    def forward(self, maps: Tensor, mask: Tensor | None = None) -> Tensor:
        """float[N, C, H, W] -> float32[N, C, 1, 1], background counting less where a mask, of logits, tells it.

        Powers of small numbers need more than bf16.
        """
        with torch.autocast(maps.device.type, enabled=False):
            # The root below has no finite gradient at 0, which a map may be everywhere.
            powers = maps.float().clamp(min=self.floor).pow(self.p)
            if mask is None:
                return powers.mean((2, 3), keepdim=True).pow(1 / self.p)
            seen = adaptive_avg_pool2d(item_probability(mask), (maps.shape[2], maps.shape[3])) + BACKGROUND
            return ((powers * seen).sum((2, 3), keepdim=True) / seen.sum((2, 3), keepdim=True)).pow(1 / self.p)


class UnitLength(nn.Module):
    """A network whose rows are scaled to length 1; a zero row stays zero."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[N, 3, S, S] -> float32[N, dim]."""
        return normalize(self.network(pictures))


def normalise_pixels(views: Tensor) -> Tensor:
    """uint8[N, S, S, 3] -> float32[N, 3, S, S] as ImageNet networks expect it."""
    mean, std = (torch.tensor(values, device=views.device) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((views.float() - mean) / std).permute(0, 3, 1, 2)
