"""Teaches a network where an item ends, from made-up scenes, so that no photo has to be cut out by hand."""

from __future__ import annotations

from random import Random

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits
from tqdm import trange

from ml.inference.arrays import Pixels
from ml.network.item_mask import ItemMask, item_probability
from ml.network.resnet import ResNet, normalise_pixels
from ml.training.data.pixels import PixelCache
from ml.training.precision import autocast

from .items import Scene, draw_scene

BATCH = 64
# Layers taken over from the trained network can tell forms apart already, so they learn at half the rate of new ones.
LAYERS_RATE, RATE = 1e-3, 2e-3


def learn_mask(form: ResNet, backgrounds: PixelCache, size: int, *, scenes: int, epochs: int, seed: int) -> ItemMask:
    """Return a mask that tells made-up items from `backgrounds`; its layers begin as those of `form`.

    All `scenes` are held in memory with four bytes a pixel: 2.4 GB for 48,000 of 112 pixels.
    """
    torch.manual_seed(seed)
    mask = ItemMask()
    # Not strict: only layers of the same name are taken over, and those that the mask alone has begin at random.
    mask.load_state_dict(form.state_dict(), strict=False)
    pictures, items = _draw_scenes(backgrounds, size, scenes, Random(seed))
    begun = [weight for name, weight in mask.named_parameters() if name in form.state_dict()]
    new = [weight for name, weight in mask.named_parameters() if name not in form.state_dict()]
    # The schedule below pairs its two rates with these two groups by their order.
    optimiser = torch.optim.AdamW([{"params": begun}, {"params": new}], weight_decay=1e-4)
    batches = max(1, scenes // BATCH)
    steps = epochs * batches
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [LAYERS_RATE, RATE], total_steps=steps, pct_start=0.1)
    progress = trange(steps, desc="mask", disable=None)
    for step in progress:
        if step % batches == 0:
            order = torch.randperm(scenes)
        # Rolling instead of slicing fills a batch that reaches the end of the order from the order's beginning.
        chosen = order.roll(-step * BATCH)[:BATCH]
        with autocast(torch.device("cpu")):
            logits = mask(normalise_pixels(torch.from_numpy(pictures[chosen])))
        # The mask is coarser than the picture: each of its places should give the share of the item in it.
        wanted = adaptive_avg_pool2d(torch.from_numpy(items[chosen])[:, None].float() / 255, logits.shape[3])
        loss = binary_cross_entropy_with_logits(logits.float(), wanted)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(mask.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}")
    return mask.requires_grad_(False).eval()


def _draw_scenes(backgrounds: PixelCache, size: int, count: int, rng: Random) -> tuple[Pixels, Pixels]:
    """Draw scenes, uint8[count, size, size, 3], and where their items are, uint8[count, size, size]."""
    pictures, items = np.empty((count, size, size, 3), np.uint8), np.empty((count, size, size), np.uint8)
    for position in trange(count, desc="scenes", disable=None):
        drawn = draw_made_up_scene(backgrounds, size, rng)
        pictures[position], items[position] = drawn.picture, drawn.mask
    return pictures, items


def draw_made_up_scene(photos: PixelCache, size: int, rng: Random) -> Scene:
    """Draw a scene whose background, and often texture, are pieces of `photos`."""
    background, texture = (photos.picture(rng.randrange(len(photos))) for _ in range(2))
    return draw_scene(background, texture, size, rng)


def predict_item_masks(mask: ItemMask, photos: PixelCache, size: int, *, batch: int = 128) -> Pixels:
    """Return uint8[N, size / 4, size / 4], 255 where `mask` sees the item of each whole picture, squeezed square."""
    parts = []
    with torch.inference_mode(), autocast(torch.device("cpu")):
        for start in trange(0, len(photos), batch, desc="item masks", disable=None):
            positions = range(start, min(start + batch, len(photos)))
            squeezed = [photos.picture(i).resize((size, size), Image.Resampling.BILINEAR) for i in positions]
            views = normalise_pixels(torch.from_numpy(np.stack([np.asarray(view) for view in squeezed])))
            parts.append((item_probability(mask(views)[:, 0]) * 255).byte().numpy())
    return np.concatenate(parts)
