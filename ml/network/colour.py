"""The part of a vector that says which colours an item has, as few of its background's as possible."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from ml.recipe import IMAGENET_MEAN, IMAGENET_STD

from .item_mask import item_probability

FLOOR = 0.02  # weight of a place that is surely background, so that a picture without an item has colours too

# A background is taken to have the luminance GREY, beside white of 1, as far as it can be seen: this much of a picture
# counts as such a grey too, so that where an item fills the picture its own colour is not taken for the light.
GREY, UNSEEN = 0.35, 0.1

# Linear sRGB to CIE XYZ (IEC 61966-2-1). Each row is divided by the D65 white point, so that white is 1 in all three.
TO_XYZ = (
    (0.4339499, 0.3762097, 0.1898401),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0177566, 0.1094680, 0.8727754),
)


class LabColours(nn.Module):
    """CIE Lab under D65 of pictures as ImageNet networks take them, so that a unit of lightness counts `lightness`."""

    mean: Tensor
    std: Tensor
    to_xyz: Tensor

    def __init__(self, lightness: float = 1.0) -> None:
        super().__init__()
        self.lightness = lightness
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None] / 255, persistent=False)
        self.register_buffer("to_xyz", torch.tensor(TO_XYZ), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[N, 3, H, W] -> float32[N, 3, H, W]."""
        return self.to_lab(self.to_light(pictures))

    def to_light(self, pictures: Tensor) -> Tensor:
        """float32[N, 3, H, W] as the network takes them -> float32[N, 3, H, W], X, Y and Z, 1 for white."""
        srgb = (pictures * self.std + self.mean).clamp(0, 1)
        linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055).pow(2.4))
        return torch.einsum("xc,nchw->nxhw", self.to_xyz, linear)

    def to_lab(self, light: Tensor) -> Tensor:
        """float32[N, 3, H, W], X, Y and Z -> float32[N, 3, H, W], L, a and b."""
        cube = torch.where(light > 0.008856, light.clamp(min=1e-6).pow(1 / 3), light * 7.787 + 16 / 116)
        x, y, z = cube.unbind(1)
        return torch.stack([(116 * y - 16) * self.lightness, 500 * (x - y), 200 * (y - z)], 1)


class ColourHistogram(nn.Module):
    """A histogram of CIE Lab colours with soft bins, each place counting as much as a mask says, made selective.

    Alike by chance are most often the common colours: walls, black, denim. Two things make them count less. Histograms
    are whitened, so that rare colours say more. And likenesses are squared: a vector holds products of random sums of
    bins, whose inner products are those squares but for noise of about 1 / sqrt(bins) (random Maclaurin features,
    Kar and Karnick, AISTATS 2012). Both are in `sums`, float32[2, bins, bins]: see `ml.starter.palette`. `centres` are
    float32[bins, 3], in Lab.

    The light on an item is told by its background, and part of what it does to colours is undone (after the grey-world
    assumption, Buchsbaum 1980): of its strength only, as what lies around an item says little of the light's colour.

    Args:
        blur: CIE76 units; colours this far apart share most of their bins.
        lightness: how much a unit of lightness counts beside one of a or b; less makes colours stand more light.
        constancy: the power of the background's luminance that is divided by, 0 for none, 1 for all of it.
    """

    centres: Tensor
    sums: Tensor

    def __init__(self, bins: int, blur: float = 4.0, lightness: float = 1.0, constancy: float = 0.0) -> None:
        super().__init__()
        self.blur, self.constancy = blur, constancy
        self.register_buffer("centres", torch.zeros(bins, 3))
        self.register_buffer("sums", torch.eye(bins).repeat(2, 1, 1))
        self.lab = LabColours(lightness)

    def forward(self, pictures: Tensor, mask: Tensor) -> Tensor:
        """float32[N, 3, S, S] as the network takes them, logits float[N, 1, H, W] -> float32[N, bins], unit rows."""
        with torch.autocast(pictures.device.type, enabled=False):
            histogram = self.soft_histogram(pictures, mask)
            return normalize((histogram @ self.sums[0].T) * (histogram @ self.sums[1].T))

    def soft_histogram(self, pictures: Tensor, mask: Tensor) -> Tensor:
        """float32[N, 3, S, S], logits float[N, 1, H, W] -> float32[N, bins], unit rows, in float32 throughout."""
        with torch.autocast(pictures.device.type, enabled=False):
            item = item_probability(mask)
            # Memory grows with places times bins, so there are no more places than the mask has.
            light = self.lab.to_light(adaptive_avg_pool2d(pictures.float(), (mask.shape[2], mask.shape[3])))
            colours = self.lab.to_lab(self._even_out_light(light, 1 - item)).flatten(2)
            # The difference is the largest tensor of the network: float32[N, bins, 3, places].
            squared = (colours[:, None] - self.centres[None, :, :, None]).square().sum(2)
            near = torch.softmax(squared * (-0.5 / self.blur**2), dim=1)
            return normalize((near * (item.flatten(1) + FLOOR)[:, None]).sum(2))

    def _even_out_light(self, light: Tensor, background: Tensor) -> Tensor:
        """float32[N, 3, H, W], X, Y and Z, and float32[N, 1, H, W] from 0 to 1 -> float32[N, 3, H, W]."""
        if not self.constancy:
            return light
        seen = (light[:, 1:2] * background).mean((2, 3), keepdim=True) + UNSEEN * GREY
        return light * (GREY * (background.mean((2, 3), keepdim=True) + UNSEEN) / seen).pow(self.constancy)
