"""Teaches a trained network where an item ends: the mask its colour histogram is weighted with."""

from __future__ import annotations

from random import Random

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits
from tqdm import trange

from ml.colour import SHARPEN
from ml.resnet import ResNet, normalised
from ml.training.pixels import PixelCache

from .made_up import made_up

BATCH = 64
LEARNING_RATE = 3e-3


def train_mask(network: ResNet, backgrounds: PixelCache, size: int, *, scenes: int, epochs: int, seed: int) -> None:
    """Fit `network.mask` on made-up items before `backgrounds`; every other weight stays as it is."""
    torch.manual_seed(seed)
    network.eval()
    maps, masks = _features(network, backgrounds, size, scenes, Random(seed))
    steps = epochs * (len(masks) // BATCH)
    network.mask.requires_grad_(True)
    optimiser = torch.optim.AdamW(network.mask.parameters(), LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    progress = trange(steps, desc="mask", disable=None)
    for step in progress:
        if step % (len(masks) // BATCH) == 0:
            order = torch.randperm(len(masks))
        batch = order.roll(-step * BATCH)[:BATCH]
        with torch.autocast("cpu", torch.bfloat16):
            logits = network.mask([each[batch] for each in maps])
        loss = binary_cross_entropy_with_logits(logits.float(), masks[batch])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.mask.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}")


def _features(
    network: ResNet, backgrounds: PixelCache, size: int, scenes: int, rng: Random
) -> tuple[list[Tensor], Tensor]:
    """The network's four maps of made-up scenes, bfloat16, and the masks at the resolution of the first."""
    parts: list[tuple[list[Tensor], Tensor]] = []
    for _ in trange(scenes // BATCH, desc="scenes", disable=None):
        drawn = [made_up(backgrounds, size, rng) for _ in range(BATCH)]
        pictures = torch.from_numpy(np.stack([each.picture for each in drawn]))
        masks = torch.from_numpy(np.stack([each.mask for each in drawn])[:, None].astype(np.float32) / 255)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            maps = [each.bfloat16() for each in network.maps(normalised(pictures))]
        parts.append((maps, adaptive_avg_pool2d(masks, maps[0].shape[-1])))
    levels = zip(*(maps for maps, _ in parts), strict=True)
    return [torch.cat(level) for level in levels], torch.cat([masks for _, masks in parts])


def item_masks(network: ResNet, photos: PixelCache, size: int, *, batch: int = 128) -> npt.NDArray[np.uint8]:
    """uint8[N, size / 4, size / 4]: where the network's mask sees the item of each whole picture, squeezed square."""
    network.eval()
    parts = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in trange(0, len(photos), batch, desc="item masks", disable=None):
            positions = range(start, min(start + batch, len(photos)))
            squeezed = [photos.picture(i).resize((size, size), Image.Resampling.BILINEAR) for i in positions]
            views = normalised(torch.from_numpy(np.stack([np.asarray(view) for view in squeezed])))
            logits = network.mask(network.maps(views))[:, 0].float()
            parts.append((torch.sigmoid(SHARPEN * logits) * 255).byte().numpy())
    return np.concatenate(parts)
