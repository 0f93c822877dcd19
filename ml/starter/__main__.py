"""Trains the starter weights from nothing; the same command goes on with a run that was stopped.

1. A ResNet-18 learns the form of things from tiny-imagenet and photos of clothes, from small pictures first.
2. A mask network learns from made-up scenes where items end.
3. The ResNet learns form again, with items put before other pictures by the mask, so that backgrounds count less.
4. It learns once more, slowly, with made-up forms as classes of their own, each in all colours and before all
   backgrounds: once pooling the whole picture and once where its item is, from the same start. The mean of both is
   kept.
5. The part of the vector that holds colours is computed from photos.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save

from ml.atomic_files import open_atomic_file
from ml.errors import MlError
from ml.folders.photo_set import PhotoSet
from ml.inference.arrays import Pixels
from ml.network import resnet
from ml.network.item_mask import ItemMask
from ml.network.resnet import Architecture, ResNet
from ml.network.weights import STARTER, write_weights
from ml.training.data.augmentation import Augmentation
from ml.training.data.photo_pixels import Photos, decode_photos
from ml.training.job import train_and_report_run
from ml.training.loop import Run
from ml.training.plan import METRIC, Plan

from .colouring import whiten_and_add_colours
from .data import LEFT_OUT, join_sets, read_clothing_set, read_tiny_imagenet
from .made_up import draw_made_up_set, read_made_up_masks
from .mask import learn_mask, predict_item_masks

SOURCE_SIDE = 192
EMPHASIS = 3.0  # how much more often garments are shown: they are few classes with the finest distinctions
PICTURES_PER_EPOCH = 66_000
SCENES = 48_000  # made-up scenes that teach where items end; all are in memory at once, which takes 2.4 GB
# A made-up item is a class of its own, so it needs several colourings: the form is what they have in common.
MADE_UP, COLOURINGS = 2_000, 8
MADE_UP_SIDE_PX = 128
MADE_UP_EMPHASIS = 0.15  # with it not quite a quarter of the pictures shown are made up
# Pictures that whitening and the colours are learned from: whole batches of 128, as a part of one would be left out.
LOOKED_AT = 5_632

FORM = Architecture("resnet18", 1000, "gem", 112)
COLOURED = dataclasses.replace(FORM, colours=744, colour_share=0.43)
FIRST = dataclasses.replace(
    METRIC, recipe="starter", trunk_lr=1.0, lr=0.2, epochs=15, sizes=((10 / 15, 64), (1.0, 96)), patience=15
)
SECOND = dataclasses.replace(
    FIRST,
    recipe="starter, items moved",
    lr=0.1,
    epochs=16,
    sizes=((1.0, FORM.size),),
    balance=0.6,
    ema=0.999,
    augmentation=Augmentation(move=0.5),
    patience=16,
)
THIRD = dataclasses.replace(
    SECOND,
    recipe="starter, made-up items",
    lr=0.03,
    epochs=7,
    augmentation=Augmentation(move=0.6, plain=0.4),
    patience=7,
)


def main() -> int:
    """Do what the module says. The exit status is 1 after a refusal, which is told in one sentence."""
    options = _read_options()
    try:
        _train_and_write_weights(options)
    except (MlError, OSError) as exc:
        print(f"starter: {exc}", file=sys.stderr)
        return 1
    return 0


def _train_and_write_weights(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    clothing = read_clothing_set(options.clothing, "train")
    training = join_sets(read_tiny_imagenet(options.tiny / "train", LEFT_OUT), clothing)
    val = read_tiny_imagenet(options.tiny / "val", LEFT_OUT)
    cache = options.out / "cache"
    emphasis = dict.fromkeys(clothing.classes, EMPHASIS)
    photos = decode_photos(training, SOURCE_SIDE, cache, emphasis=emphasis, epoch_length=PICTURES_PER_EPOCH)
    judged = decode_photos(val, SOURCE_SIDE, cache)
    torch.manual_seed(FIRST.seed)  # first weights come from torch's generator, and a run must repeat
    form = _train_network(resnet.create_network(FORM), FIRST, options.out / "first", photos, judged)
    mask = _learn_or_read_mask(options.out / "mask.safetensors", form, photos)
    masks = predict_item_masks(mask, photos.pixels, FORM.size)
    form = _train_network(form, SECOND, options.out / "second", dataclasses.replace(photos, masks=masks), judged)
    photos = _add_made_up_items(training, photos, masks, options.out)
    plain = _train_network(copy.deepcopy(form), THIRD, options.out / "third-plain", photos, judged)
    # With its mask set, the network averages features over the item. The last stage is trained from the same weights
    # without the mask, above, and with it, below, because what ships is the mean of both.
    form.mask = mask
    form = average_networks(_train_network(form, THIRD, options.out / "third", photos, judged), plain)
    network = whiten_and_add_colours(form, COLOURED, photos, pictures=LOOKED_AT, seed=THIRD.seed)
    write_weights(options.weights, network, COLOURED, start="nothing", licence="research; see LICENSE")
    print(f"{options.weights}: {options.weights.stat().st_size / 1e6:.1f} MB")


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ml.starter", description=__doc__)
    parser.add_argument("--tiny", type=Path, required=True, help="folder with train/WNID/*.webp and val/WNID/*.webp")
    parser.add_argument("--clothing", type=Path, required=True, help="folder with splits.csv and images/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs: checkpoints, history, TensorBoard")
    parser.add_argument("--weights", type=Path, default=STARTER, help="the file to write (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _learn_or_read_mask(path: Path, form: ResNet, photos: Photos) -> ItemMask:
    """Learn the mask, or read the one that was learned: a run that was stopped goes on with the same mask."""
    if not path.exists():
        learned = learn_mask(form, photos.pixels, FORM.size, scenes=SCENES, epochs=2, seed=FIRST.seed)
        with open_atomic_file(path) as file:
            file.write(save(learned.state_dict()))
    mask = ItemMask().requires_grad_(False).eval()
    mask.load_state_dict(load_file(path))
    return mask


def _add_made_up_items(training: PhotoSet, photos: Photos, masks: Pixels, out: Path) -> Photos:
    """Return `photos`, which were decoded from `training`, with their `masks`, and made-up items with theirs."""
    folder = out / "made-up"
    made_up = draw_made_up_set(
        folder, photos.pixels, MADE_UP_SIDE_PX, classes=MADE_UP, each=COLOURINGS, seed=THIRD.seed
    )
    masks = np.concatenate([masks, read_made_up_masks(made_up, masks.shape[1])])
    emphasis = dict(zip(photos.classes, photos.emphasis, strict=True))
    emphasis |= dict.fromkeys(made_up.classes, MADE_UP_EMPHASIS)
    both = decode_photos(
        join_sets(training, made_up), SOURCE_SIDE, out / "cache", emphasis=emphasis, epoch_length=PICTURES_PER_EPOCH
    )
    return dataclasses.replace(both, masks=masks)


def _train_network(network: ResNet, plan: Plan, folder: Path, photos: Photos, judged: Photos) -> ResNet:
    run = Run(folder, plan, network, FORM.dim, photos, judged)
    train_and_report_run(run)
    network.load_state_dict(run.learner.result.state_dict())
    return network.cpu()


def average_networks(network: ResNet, other: ResNet) -> ResNet:
    """Give `network` the mean of the weights, and statistics of batches, that both have; return it.

    Both must have been trained from the same start (Wortsman et al., "Model soups", ICML 2022).
    """
    theirs = other.state_dict()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            # The mask is in one network alone, and counters of batches are whole numbers, of which there is no mean.
            if tensor.is_floating_point() and name in theirs:
                tensor.lerp_(theirs[name], 0.5)
    return network


if __name__ == "__main__":
    sys.exit(main())
