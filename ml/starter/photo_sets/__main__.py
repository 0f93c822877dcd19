"""Writes the table that the starter weights are trained on: `image,label set,label`, a row for each label.

A picture without labels has one row in which both are empty. Left out are pictures that cannot be read, those that are
there twice, and all that are near what models are judged by: the `heldout` and `unseen` garments, tiny-imagenet's
`val`, thirty kinds of objects, and the pictures of `--apart`, such as the demo's. The hashes of the others are written
beside the table, so that no model that learned from them is judged by them.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.atomic_files import open_atomic_text
from ml.errors import MlError
from ml.folders.perceptual_hash import hash_files
from ml.folders.trained_photos import write_trained_photos
from ml.starter.data import read_clothing_set, read_tiny_imagenet

from .cleaning import find_judged_pictures, find_repeated_pictures
from .sources import SourcePhoto, list_judged_objects, list_photos, list_pictures


def main() -> int:
    """Do what the module says. The exit status is 1 after a refusal, which is told in one sentence."""
    options = _read_options()
    try:
        _write_clean_table(options)
    except (MlError, OSError) as exc:
        print(f"photo sets: {exc}", file=sys.stderr)
        return 1
    return 0


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ml.starter.photo_sets", description=__doc__)
    parser.add_argument("table", type=Path, metavar="CSV", help="the file to write")
    parser.add_argument("--sets", type=Path, required=True, help="folder with a clone of each public set")
    parser.add_argument("--clothing", type=Path, required=True, help="folder with splits.csv and images/")
    parser.add_argument("--tiny", type=Path, required=True, help="folder with val/WNID/*.webp of tiny-imagenet")
    parser.add_argument("--apart", type=Path, nargs="*", default=[], help="folders that no picture may be near to")
    return parser.parse_args()


def _write_clean_table(options: argparse.Namespace) -> None:
    photos = list_photos(options.sets, options.clothing)
    hashed = hash_files([photo.path for photo in photos], title="photos")
    read = [photos[i] for i in hashed.kept]
    near = find_judged_pictures(hashed.hashes, _hash_judged_pictures(options))
    repeated = find_repeated_pictures(hashed.hashes, [photo.labels for photo in read])
    keep = ~(near | repeated)
    kept = [photo for photo, one in zip(read, keep, strict=True) if one]
    write_trained_photos(options.table, hashed.hashes[keep])
    write_table(options.table, kept)
    print(
        f"{options.table}: {len(kept):,} pictures of {len(photos):,}; left out: {len(hashed.refused):,} unreadable, "
        f"{near.sum():,} near judged ones, {(repeated & ~near).sum():,} repeated"
    )
    counts = Counter("+".join(sorted(photo.labels)) or "no labels" for photo in kept)
    print(*(f"{count:8,} {name}" for name, count in sorted(counts.items())), sep="\n")


def _hash_judged_pictures(options: argparse.Namespace) -> npt.NDArray[np.uint64]:
    paths = [path for split in ("heldout", "unseen") for path in read_clothing_set(options.clothing, split).images]
    paths += read_tiny_imagenet(options.tiny / "val").images
    paths += [photo.path for photo in list_judged_objects(options.sets / "Homework2-Caltech101")]
    paths += [path for folder in options.apart for path in list_pictures(folder)]
    return hash_files(paths, title="judged photos").hashes


def write_table(table: Path, photos: Sequence[SourcePhoto]) -> None:
    """Write `image,label set,label` with absolute paths."""
    with open_atomic_text(table) as file:
        writer = csv.writer(file)
        writer.writerow(("image", "label set", "label"))
        for photo in photos:
            for name, label in sorted(photo.labels.items()) or [("", "")]:
                writer.writerow((photo.path.absolute(), name, label))


if __name__ == "__main__":
    sys.exit(main())
