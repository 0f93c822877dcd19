"""Trains the starter weights from nothing: `python -m ml.starter --help`.

Data: tiny-imagenet at 64 px (train, without three classes that are judged as unseen) and photos of clothes (train).
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
from pathlib import Path

import torch

from ml import resnet
from ml.photo_set import PhotoSet
from ml.resnet import Architecture
from ml.training.augmentation import Augmentation
from ml.training.loop import Run
from ml.training.photo_pixels import decoded
from ml.training.plan import METRIC

LEFT_OUT = ("n04133789", "n04259630", "n03770439")  # sandal, sombrero, miniskirt: judged as unseen kinds
DIM = 1000
SOURCE_SIDE = 192
EMPHASIS = 3.0  # on garments: few classes, but the finest distinctions

PLAN = dataclasses.replace(
    METRIC,
    recipe="starter",
    trunk_lr=1.0,
    lr=0.2,
    epochs=18,
    sizes=((12 / 18, 64), (1.0, 96)),
    augmentation=Augmentation(),
    patience=18,
)


def main() -> None:
    """Train, or go on with a run that was stopped."""
    parser = argparse.ArgumentParser(prog="python -m ml.starter", description=__doc__)
    parser.add_argument("--tiny", type=Path, required=True, help="folder with train/WNID/*.webp and val/WNID/*.webp")
    parser.add_argument("--clothing", type=Path, required=True, help="folder with splits.csv and images/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoint, history")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clothing = clothing_set(options.clothing, "train")
    training = joined(tiny_set(options.tiny / "train", LEFT_OUT), clothing)
    photos = decoded(
        training,
        SOURCE_SIDE,
        options.out / "cache",
        emphasis=dict.fromkeys(clothing.classes, EMPHASIS),
        epoch_length=66_000,
    )
    validation = tiny_set(options.tiny / "val", LEFT_OUT)
    torch.manual_seed(PLAN.seed)
    network = resnet.create(Architecture("resnet18", DIM, PLAN.pooling))
    judged = decoded(validation, SOURCE_SIDE, options.out / "cache")
    Run(options.out, PLAN, network, DIM, photos, judged).train(lambda run: print(run.epochs[-1], flush=True))


def tiny_set(folder: Path, left_out: tuple[str, ...] = ()) -> PhotoSet:
    """The pictures below `folder`/CLASS/."""
    images = sorted(path for path in folder.glob("*/*.webp") if path.parent.name not in left_out)
    return PhotoSet(tuple(images), tuple(path.parent.name for path in images))


def clothing_set(folder: Path, split: str) -> PhotoSet:
    """The photos of one split; senders are the groups."""
    with (folder / "splits.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    images = tuple(folder / "images" / f"{row['image']}.jpg" for row in rows)
    return PhotoSet(images, tuple(row["label"] for row in rows), tuple(row["sender_id"] for row in rows))


def joined(*sets: PhotoSet) -> PhotoSet:
    """All pictures of several sets, without groups."""
    return PhotoSet(
        tuple(path for photos in sets for path in photos.images),
        tuple(label for photos in sets for label in photos.labels),
    )


if __name__ == "__main__":
    main()
