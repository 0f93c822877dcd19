"""Where the item of a picture is: what keeps its background out of the vector. Needs torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from .torchvision_compat import import_torchvision

# Pixels, as in the scenes that the mask learns from; larger pictures are scaled down to it, so that they cost no more.
SIDE = 112
WIDTH = 48


class ItemMask(nn.Module):
    """How likely each place of a picture shows the item: a logit for each.

    Most of the first three layers of a ResNet-18; what the deepest knows of the whole picture is refined by each before
    it (Lin et al., CVPR 2017). A network of its own, so that the item is where it was when the other is fine-tuned: it
    learns only where its weights ask for gradients, and else keeps its statistics too.
    """

    def __init__(self) -> None:
        super().__init__()
        layers = import_torchvision().models.resnet18(weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = layers.conv1, layers.bn1, layers.relu, layers.maxpool
        self.layer1, self.layer2, self.layer3 = layers.layer1, layers.layer2, layers.layer3[:1]
        self.squeeze = nn.ModuleList(nn.Conv2d(channels, WIDTH, 1) for channels in (64, 128, 256))
        self.mix = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(3))
        self.logit = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[N, 3, S, S] as the network takes them -> float[N, 1, s, s], s a quarter of S, at most 28."""
        if int(pictures.shape[2]) > SIDE:
            pictures = adaptive_avg_pool2d(pictures, SIDE)
        maps = [self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(pictures)))))]
        for layer in (self.layer2, self.layer3):
            maps.append(layer(maps[-1]))
        deeper: Tensor | None = None
        for squeeze, mix, each in reversed(list(zip(self.squeeze, self.mix, maps, strict=True))):
            seen = squeeze(each)
            if deeper is not None:
                seen = seen + interpolate(deeper, size=each.shape[2:], mode="bilinear", align_corners=False)
            deeper = torch.relu(mix(torch.relu(seen)))
        return self.logit(deeper)

    def train(self, mode: bool = True) -> ItemMask:
        return super().train(mode and any(weight.requires_grad for weight in self.parameters()))


def item_probability(logits: Tensor) -> Tensor:
    """float[N, 1, H, W] -> float32[N, 1, H, W] from 0, surely background, to 1, surely item."""
    return torch.sigmoid(logits.float())
