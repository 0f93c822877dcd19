"""Each public set as it is published: its pictures, and what its labels say of them.

`SETS` holds a clone of each repository, named as the repository. What hats, shoes, skirts, hoodies and blazers are
called in a set gets no label, because these kinds stand for what no label told (see `LEFT_OUT` of `ml.starter.data`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ml.folders.photo_set import PhotoSetError
from ml.starter.data import LEFT_OUT, read_clothing_set

# 30 of the 101 kinds of Caltech-101: `random.Random(1).sample` of the sorted names of all but `BACKGROUND_Google`.
JUDGED_OBJECTS = Path(__file__).with_name("judged_objects.csv")
HATS = {"Beanie", "Cap", "Cap/peaked", "Felt hat", "Hat/beanie", "Hat/brim", "Straw hat"}
UNLABELLED_TYPES = HATS | {"Skirt", "Hoodie", "Blazer", "Unknown"}
UNLABELLED_GROUPS = {"Shoes"}
PICTURES = ("*.jpg", "*.jpeg", "*.png", "*.JPEG", "*.webp")


@dataclass(frozen=True)
class SourcePhoto:
    """A picture of a set, and its label in each label set that says something of it."""

    path: Path
    labels: dict[str, str] = field(default_factory=dict)


def list_clothing(folder: Path) -> Iterator[SourcePhoto]:
    """Photos that people took of clothes to give away: those to train on by kind, those without a usable kind as is."""
    trained = read_clothing_set(folder, "train")
    for path, label in zip(trained.images, trained.labels, strict=True):
        yield SourcePhoto(path, {"garments": label})
    for path in read_clothing_set(folder, "ignored").images:
        yield SourcePhoto(path)


def list_shop_garments(folder: Path) -> Iterator[SourcePhoto]:
    """A shop's garments (`hungle45/PSE-Recommendor-System`): type, colour and pattern of each."""
    with (folder / "src/store/data/articles_train_sample.csv").open(newline="", encoding="utf-8") as file:
        articles = {row["article_id"]: row for row in csv.DictReader(file)}
    for path in list_pictures(folder / "public/images"):
        article = articles[path.stem]
        if article["product_type_name"] in UNLABELLED_TYPES or article["product_group_name"] in UNLABELLED_GROUPS:
            yield SourcePhoto(path)
        else:
            yield SourcePhoto(
                path,
                {
                    "types": article["product_type_name"],
                    "colours": article["colour_group_name"],
                    "patterns": article["graphical_appearance_name"],
                },
            )


def list_objects(folder: Path) -> Iterator[SourcePhoto]:
    """Caltech-101 (`MachineLearning2020/Homework2-Caltech101`) without the kinds that are judged."""
    judged = set(read_judged_kinds())
    for path in list_pictures(folder / "101_ObjectCategories"):
        kind = path.parent.name
        if kind == "BACKGROUND_Google":
            yield SourcePhoto(path)
        elif kind not in judged:
            yield SourcePhoto(path, {"objects": kind})


def list_judged_objects(folder: Path) -> Iterator[SourcePhoto]:
    """The photos of the kinds that are judged, which the others must not show."""
    judged = set(read_judged_kinds())
    for path in list_pictures(folder / "101_ObjectCategories"):
        if path.parent.name in judged:
            yield SourcePhoto(path)


def read_judged_kinds() -> list[str]:
    """The names of the kinds of objects that models are judged by, and that nothing is trained on."""
    with JUDGED_OBJECTS.open(newline="", encoding="utf-8") as file:
        return [row["kind"] for row in csv.DictReader(file)]


def list_imagenette(folder: Path) -> Iterator[SourcePhoto]:
    """Ten kinds of ImageNet at 224 px (`thunderInfy/imagenette`)."""
    for path in list_pictures(folder):
        yield SourcePhoto(path, {"imagenette": path.parent.name})


def list_unlabelled(folder: Path) -> Iterator[SourcePhoto]:
    """Pictures whose labels are not used: boxes of games, and seven kinds photographed, painted and drawn."""
    yield from (SourcePhoto(path) for path in list_pictures(folder))


def list_tiny_imagenet(folder: Path) -> Iterator[SourcePhoto]:
    """All of tiny-imagenet's training pictures (`seshuad/IMagenet`), 64 px, without the three garments left out."""
    for path in list_pictures(folder / "tiny-imagenet-200/train"):
        kind = path.name.partition("_")[0]
        if kind not in LEFT_OUT:
            yield SourcePhoto(path, {"tiny-imagenet": kind})


SOURCES = {
    "PSE-Recommendor-System": list_shop_garments,
    "Homework2-Caltech101": list_objects,
    "imagenette": list_imagenette,
    "bgg-images": list_unlabelled,
    "Homework3-PACS": list_unlabelled,
    "IMagenet": list_tiny_imagenet,
}


def list_photos(sets: Path, clothing: Path) -> list[SourcePhoto]:
    """Every picture that may be trained on, in the order in which doubles are kept.

    Raises:
        PhotoSetError: a set is missing.
    """
    photos = list(list_clothing(clothing))
    for name, list_source in SOURCES.items():
        if not (sets / name).is_dir():
            raise PhotoSetError(f"There is no folder {sets / name}; docs/training.md says what to clone there.")
        photos += list_source(sets / name)
    return photos


def list_pictures(folder: Path) -> list[Path]:
    """Every picture below `folder`, sorted.

    Raises:
        PhotoSetError: there is none.
    """
    found = sorted(path for pattern in PICTURES for path in folder.rglob(pattern))
    if not found:
        raise PhotoSetError(f"{folder} holds no pictures; is the clone complete?")
    return found
