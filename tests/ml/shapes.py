"""Small drawn pictures of a few kinds, which a network learns to tell apart in seconds."""

from __future__ import annotations

import csv
import random
from collections import OrderedDict
from pathlib import Path

from PIL import Image, ImageDraw

KINDS = {"blue": (40, 60, 220), "green": (40, 200, 60), "red": (220, 40, 40), "yellow": (230, 220, 40)}
PER_KIND = 8


def draw_shapes(folder: Path, *, per_kind: int = PER_KIND, seed: int = 0) -> Path:
    """Pictures of coloured shapes before random backgrounds, and their CSV: image, label, group."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    table = folder / "photos.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("image", "label", "group"))
        for kind, colour in KINDS.items():
            for number in range(per_kind):
                picture = Image.new("RGB", (48, 40), tuple(rng.randrange(256) for _ in range(3)))
                left, top = rng.randrange(4, 16), rng.randrange(4, 12)
                shape = ImageDraw.ImageDraw.ellipse if number % 2 else ImageDraw.ImageDraw.rectangle
                shape(ImageDraw.Draw(picture), (left, top, left + 24, top + 20), fill=colour)
                picture.save(folder / f"{kind}{number}.png")
                rows.writerow((f"{kind}{number}.png", kind, f"sender {number % 4}"))
    return table


def tiny_network(dim: int = 8, seed: int = 3):
    """A network of 5,000 weights with the layers of a ResNet by name."""
    import torch
    from torch import nn

    from ml.network.resnet import GeneralisedMean

    torch.manual_seed(seed)
    layer1 = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    layers = {"conv1": nn.Conv2d(3, 8, 3, 2, 1, bias=False), "bn1": nn.BatchNorm2d(8), "relu": nn.ReLU()}
    layers |= {"layer1": layer1, "avgpool": GeneralisedMean(), "flatten": nn.Flatten(), "fc": nn.Linear(16, dim)}
    return nn.Sequential(OrderedDict(layers))
