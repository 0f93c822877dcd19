"""The part of a vector that says which colours an item has, as few of its background's as possible."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, normalize

from ml.recipe import IMAGENET_MEAN, IMAGENET_STD

from .item_mask import item_probability

BLUR = 4.0  # CIE76 units: colours this far apart share most of their bins
CELL = 4  # pixels each way that are averaged into one colour; memory grows with colours times bins
FLOOR = 0.02  # weight of a cell that is surely background, so that a picture without an item has colours too

# Linear sRGB to CIE XYZ (IEC 61966-2-1). Each row is divided by the D65 white point, so that white is 1 in all three.
TO_XYZ = (
    (0.4339499, 0.3762097, 0.1898401),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0177566, 0.1094680, 0.8727754),
)


class LabColours(nn.Module):
    """CIE Lab under D65, a unit of lightness each, of pictures as ImageNet networks take them."""

    mean: Tensor
    std: Tensor
    to_xyz: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None] / 255, persistent=False)
        self.register_buffer("to_xyz", torch.tensor(TO_XYZ), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """float32[N, 3, H, W] -> float32[N, 3, H, W]."""
        srgb = (pictures * self.std + self.mean).clamp(0, 1)
        linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055).pow(2.4))
        xyz = torch.einsum("xc,nchw->nxhw", self.to_xyz, linear)
        cube = torch.where(xyz > 0.008856, xyz.clamp(min=1e-6).pow(1 / 3), xyz * 7.787 + 16 / 116)
        x, y, z = cube.unbind(1)
        return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


class ColourHistogram(nn.Module):
    """A histogram of CIE Lab colours with soft bins, each place counting as much as a mask says, made selective.

    Alike by chance are most often the common colours: walls, black, denim. Two things make them count less. Histograms
    are whitened, so that rare colours say more. And likenesses are squared: a vector holds products of random sums of
    bins, whose inner products are those squares but for noise of about 1 / sqrt(bins) (random Maclaurin features,
    Kar and Karnick, AISTATS 2012). Both are in `sums`, float32[2, bins, bins]: see `ml.starter.palette`. `centres` are
    float32[bins, 3], in Lab.
    """

    centres: Tensor
    sums: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(bins, 3))
        self.register_buffer("sums", torch.eye(bins).repeat(2, 1, 1))
        self.lab = LabColours()

    def forward(self, pictures: Tensor, mask: Tensor) -> Tensor:
        """float32[N, 3, S, S] as the network takes them, logits float[N, 1, H, W] -> float32[N, bins], unit rows."""
        with torch.autocast(pictures.device.type, enabled=False):
            histogram = self.soft_histogram(pictures, mask)
            return normalize((histogram @ self.sums[0].T) * (histogram @ self.sums[1].T))

    def soft_histogram(self, pictures: Tensor, mask: Tensor) -> Tensor:
        """float32[N, 3, S, S], logits float[N, 1, H, W] -> float32[N, bins], unit rows, in float32 throughout."""
        with torch.autocast(pictures.device.type, enabled=False):
            colours = self.lab(avg_pool2d(pictures.float(), CELL)).flatten(2)
            side = pictures.shape[2] // CELL
            logits = interpolate(mask.float(), size=(side, side), mode="bilinear", align_corners=False)
            weight = item_probability(logits).flatten(1) + FLOOR
            # The difference is the largest tensor of the network: float32[N, bins, 3, places].
            squared = (colours[:, None] - self.centres[None, :, :, None]).square().sum(2)
            near = torch.softmax(squared * (-0.5 / BLUR**2), dim=1)
            return normalize((near * weight[:, None]).sum(2))
