"""The pictures that the starter weights are trained on, from folders as they are published."""

from __future__ import annotations

import csv
from pathlib import Path

from ml.folders.photo_set import PhotoSet, PhotoSetError

# Sandal, sombrero and miniskirt: garments of these kinds stand for what was never seen when models are judged.
LEFT_OUT = ("n04133789", "n04259630", "n03770439")


def read_tiny_imagenet(folder: Path, left_out: tuple[str, ...] = ()) -> PhotoSet:
    """Return the pictures at `folder`/CLASS/*.webp, without classes that are left out.

    Raises:
        PhotoSetError: there are none.
    """
    images = sorted(path for path in folder.glob("*/*.webp") if path.parent.name not in left_out)
    if not images:
        raise PhotoSetError(f"{folder} holds no CLASS/*.webp; unpack the tiny-imagenet archives there.")
    return PhotoSet(tuple(images), tuple(path.parent.name for path in images))


def read_clothing_set(folder: Path, split: str) -> PhotoSet:
    """Return the photos of one split of `folder`/splits.csv; their senders are the groups."""
    with (folder / "splits.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    images = tuple(folder / "images" / f"{row['image']}.jpg" for row in rows)
    return PhotoSet(images, tuple(row["label"] for row in rows), tuple(row["sender_id"] for row in rows))


def join_sets(*sets: PhotoSet) -> PhotoSet:
    """Return all pictures of several sets, without groups."""
    return PhotoSet(
        tuple(path for photos in sets for path in photos.images),
        tuple(label for photos in sets for label in photos.labels),
    )
