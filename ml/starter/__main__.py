"""Trains the starter weights; the same command goes on with a run that was stopped.

1. A ResNet-18, begun from three trained stages of the real one or from earlier starter weights, learns what
   pre-trained teachers say of photos, and beside that every label there is: first its last stage alone, then all.
2. A mask network learns from made-up scenes where items end, or is taken from earlier weights.
3. The form learns on from items, which are cut out by the mask and put before other pictures, and more from labels.
4. The vector's form is whitened, and its part that holds colours is computed from photos.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import nn

from ml.atomic_files import open_atomic_file
from ml.errors import MlError
from ml.folders.perceptual_hash import Hashes
from ml.folders.photo_set import read_photo_set
from ml.folders.trained_photos import read_trained_photos, trained_photos_path, write_trained_photos
from ml.network import resnet
from ml.network.folded import read_folded_weights
from ml.network.item_mask import SIDE, ItemMask
from ml.network.resnet import Architecture, GeneralisedMean, ResNet
from ml.network.weights import STARTER, WeightsError, load_network, write_weights
from ml.training.data.label_sets import read_labelled_pictures
from ml.training.data.photo_pixels import Photos, decode_photos, weigh_classes
from ml.training.errors import TrainingError
from ml.training.job import add_teachers, train_and_report_run
from ml.training.loop import Run
from ml.training.plan import DISTIL, LAYERS
from ml.training.starting import make_starting_network, take_fitting_weights

from .colouring import POWER, whiten_and_add_colours
from .mask import learn_mask, predict_item_masks

SOURCE_SIDE = 224  # pixels; most photos are no larger, and teachers look more closely than the network
PICTURES_PER_EPOCH = 25_600  # of many more: a run that is stopped loses less than an epoch
# How much more often pictures with these labels are shown than those without any: garments are few, with the finest
# distinctions, and most garments of the shop are like others.
EMPHASIS = {"garments": 5.0, "colours+patterns+types": 1.5, "objects": 2.0, "tiny-imagenet": 0.8}
REFINED_EMPHASIS = EMPHASIS | {"garments": 8.0}
MOVED = ("garments", "colours+patterns+types", "objects")  # pictures of one item, put before others and before walls
SCENES = 48_000  # made-up scenes that teach where items end; all are in memory at once, which takes 2.4 GB
LOOKED_AT = 2_816  # pictures that whitening and colours are learned from: whole batches of 128

FORM = Architecture("resnet18", 256, "gem", 112)
COLOURED = dataclasses.replace(
    FORM, size=160, dim=1000, stages=2, colours=744, colour_share=0.25, colour_blur=6.0, lightness=0.4, constancy=0.3
)
PLAN = dataclasses.replace(
    DISTIL,
    recipe="starter",
    epochs=20,
    # A picture costs half as much while only the last stage learns, and this stage has most to learn.
    frozen=LAYERS[:5],
    thaw=0.4,
    sizes=((0.7, 112), (1.0, 128)),
    ema=0.999,
    ema_warm_up=True,
    teachers=("efficientnet-lite0", "efficientnet-lite2"),
    untaught=("garments",),
    views=2,
    neighbour_weight=2.0,
    patience=20,
)
REFINED = dataclasses.replace(
    PLAN,
    epochs=6,
    frozen=LAYERS[:3],
    thaw=1.0,
    sizes=((1.0, 128),),
    lr=4e-4,
    warm_up=0.05,
    label_weight=2.0,
    augmentation=dataclasses.replace(PLAN.augmentation, move=0.5, plain=0.4),
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


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ml.starter", description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="what `python -m ml.starter.photo_sets` wrote")
    parser.add_argument(
        "--start", type=Path, required=True, help="the real ResNet-18's trained stages, or earlier starter weights"
    )
    parser.add_argument("--mask", type=Path, metavar="WEIGHTS", help="weights whose mask is taken; else one is learned")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs: checkpoints, history, TensorBoard")
    parser.add_argument("--validation", type=Path, metavar="CSV", help="image,label to judge epochs by; not shipped so")
    parser.add_argument("--weights", type=Path, default=STARTER, help="the file to write (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _train_and_write_weights(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    mask = None if options.mask is None else _take_mask(options.mask)
    cache = options.out / "cache"
    pictures = read_labelled_pictures(options.table)
    learned_from = _require_table_of_photo_sets(options.table, set(pictures.kinds.classes))
    photos = decode_photos(pictures.kinds, SOURCE_SIDE, cache, emphasis=EMPHASIS, epoch_length=PICTURES_PER_EPOCH)
    photos = add_teachers(dataclasses.replace(photos, label_sets=pictures.label_sets), PLAN, cache, PLAN.teachers)
    judged = decode_photos(read_photo_set(options.validation), SOURCE_SIDE, cache) if options.validation else None
    form = _distil(options, photos, judged)
    mask = mask or _learn_or_read_mask(options.out / "mask.safetensors", form, photos)
    form = _refine(options, form, mask, photos, judged)
    form.mask = mask
    network = whiten_and_add_colours(form, COLOURED, photos, pictures=LOOKED_AT, seed=PLAN.seed)
    write_weights(options.weights, network, COLOURED, start=options.start.name, licence="research; see LICENSE")
    write_trained_photos(options.weights, learned_from, read_trained_photos(options.start))
    print(f"{options.weights}: {options.weights.stat().st_size / 1e6:.1f} MB")


def _require_table_of_photo_sets(table: Path, kinds: set[str]) -> Hashes:
    """The hashes of the table's pictures, which `python -m ml.starter.photo_sets` wrote beside it with its kinds."""
    hashes = read_trained_photos(table)
    if hashes is None:
        raise TrainingError(f"{trained_photos_path(table)} is missing; it says later what the weights have seen.")
    if missing := (set(EMPHASIS) | set(MOVED)) - kinds:
        raise TrainingError(f"{table} has no pictures labelled {', '.join(sorted(missing))}; write it again.")
    return hashes


def _distil(options: argparse.Namespace, photos: Photos, judged: Photos | None) -> ResNet:
    folded = bool(read_folded_weights(options.start))
    # Earlier weights have a last stage that has learned already.
    plan = PLAN if folded else dataclasses.replace(PLAN, frozen=())
    start = _take_stages(options.start, photos) if folded else _take_form(options.start)
    return _learn_form(Run(options.out / "form", plan, start, FORM.dim, photos, judged))


def _refine(options: argparse.Namespace, form: ResNet, mask: ItemMask, photos: Photos, judged: Photos | None) -> ResNet:
    """Return the form after it has learned on, pooled by a mean of squares as it will be, from items that are moved.

    It is pooled from all of a picture still: where the mask sees the item costs a third more and taught nothing more.
    """
    form.avgpool = GeneralisedMean(POWER)
    emphasis = weigh_classes(photos.classes, REFINED_EMPHASIS)
    masks = np.zeros((len(photos.targets), SIDE // 4, SIDE // 4), np.uint8)  # no item is seen, so none is moved
    moved = np.flatnonzero(np.isin(photos.targets, [photos.classes.index(name) for name in MOVED]))
    masks[moved] = predict_item_masks(mask, photos.pixels.subset(moved), SIDE)
    shown = dataclasses.replace(photos, emphasis=emphasis, masks=masks)
    run = Run(options.out / "refined", REFINED, form, FORM.dim, shown, judged)
    return _learn_form(run)


def _learn_form(run: Run) -> ResNet:
    """Return the form after the run, on the processor wherever it has learned."""
    train_and_report_run(run)
    form = resnet.create_network(FORM)
    form.load_state_dict(run.learner.result.state_dict())
    return form


def _take_stages(source: Path, photos: Photos) -> nn.Module:
    """Return a form that begins with trained stages; its last stage and its head are new."""
    start = make_starting_network(
        str(source), arch=FORM.arch, dim=FORM.dim, size=FORM.size, pooling=FORM.pooling, seed=PLAN.seed
    )
    start.take_folded_weights(photos.pixels)
    return start.network


def _take_form(source: Path) -> nn.Module:
    """Return a form with the layers of earlier weights; its head is new where theirs has another shape."""
    torch.manual_seed(PLAN.seed)
    form = resnet.create_network(FORM)
    take_fitting_weights(form, load_network(str(source), arch=FORM.arch).network)
    return form


def _take_mask(source: Path) -> ItemMask:
    mask = getattr(load_network(str(source)).network, "mask", None)
    if not isinstance(mask, ItemMask):
        raise WeightsError(f"{source} has no mask to take; name starter weights, or leave --mask out to learn one.")
    return mask


def _learn_or_read_mask(path: Path, form: ResNet, photos: Photos) -> ItemMask:
    """Learn the mask, or read the one that was learned: a run that was stopped goes on with the same mask."""
    if not path.exists():
        learned = learn_mask(form, photos.pixels, FORM.size, scenes=SCENES, epochs=2, seed=PLAN.seed)
        with open_atomic_file(path) as file:
            file.write(save(learned.state_dict()))
    mask = ItemMask().requires_grad_(False).eval()
    mask.load_state_dict(load_file(path))
    return mask


if __name__ == "__main__":
    sys.exit(main())
