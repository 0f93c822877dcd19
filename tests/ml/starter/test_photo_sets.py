"""The table that starter weights are trained on, from a small copy of every public set."""

from __future__ import annotations

import csv
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from ml.folders.trained_photos import read_trained_photos
from ml.starter.photo_sets.__main__ import main
from ml.starter.photo_sets.sources import read_judged_kinds

KINDS = ["ant", *read_judged_kinds(), "zebra"]


def draw_noise(path, seed):
    """A picture unlike any of another seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def sets(tmp_path):
    """Every set as it is published, two or three pictures each."""
    seed = iter(range(1000, 10_000))
    folder = tmp_path / "sets"
    rows = [("1", "Dress", "Garment Full body"), ("2", "Cap", "Accessories"), ("3", "Boots", "Shoes")]
    table = folder / "PSE-Recommendor-System/src/store/data/articles_train_sample.csv"
    table.parent.mkdir(parents=True)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        names = ("article_id", "product_type_name", "product_group_name")
        writer.writerow((*names, "colour_group_name", "graphical_appearance_name"))
        writer.writerows((*row, "Red", "Solid") for row in rows)
    for number, *_ in rows:
        draw_noise(folder / f"PSE-Recommendor-System/public/images/00/{number}.jpg", next(seed))
    for kind in (*KINDS, "BACKGROUND_Google"):
        draw_noise(folder / "Homework2-Caltech101/101_ObjectCategories" / kind / "1.jpg", next(seed))
    for name in ("imagenette/train/n01", "bgg-images/images", "Homework3-PACS/PACS/photo/dog"):
        draw_noise(folder / name / "1.jpg", next(seed))
    for kind in ("n04133789", "n1"):
        draw_noise(folder / f"IMagenet/tiny-imagenet-200/train/{kind}/images/{kind}_1.jpg", next(seed))
    draw_noise(tmp_path / "tiny/val/n1/1.webp", next(seed))
    clothing = tmp_path / "clothing"
    with (tmp_path / "splits.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "label", "sender_id", "split"))
        for sender, split in enumerate(("train", "heldout", "unseen", "ignored")):
            writer.writerow((split, "Dress", sender, split))
            draw_noise(clothing / f"images/{split}.jpg", next(seed))
    shutil.move(tmp_path / "splits.csv", clothing / "splits.csv")
    return folder


def write_table(tmp_path, monkeypatch, *options):
    arguments = [tmp_path / "table.csv", "--sets", tmp_path / "sets", "--clothing", tmp_path / "clothing"]
    arguments += ["--tiny", tmp_path / "tiny", *options]
    monkeypatch.setattr(sys, "argv", ["photo_sets", *map(str, arguments)])
    status = main()
    if status:
        return status
    with (tmp_path / "table.csv").open(newline="") as file:
        return {
            (row["image"].removeprefix(f"{tmp_path}/"), row["label set"], row["label"]) for row in csv.DictReader(file)
        }


def test_every_label_is_a_row_but_those_of_unseen_kinds(sets, tmp_path, monkeypatch):
    rows = write_table(tmp_path, monkeypatch)
    shop = "sets/PSE-Recommendor-System/public/images/00"
    assert {row for row in rows if shop in row[0]} == {
        (f"{shop}/1.jpg", "types", "Dress"),
        (f"{shop}/1.jpg", "colours", "Red"),
        (f"{shop}/1.jpg", "patterns", "Solid"),
        (f"{shop}/2.jpg", "", ""),
        (f"{shop}/3.jpg", "", ""),
    }
    assert {row for row in rows if "clothing" in row[0]} == {
        ("clothing/images/train.jpg", "garments", "Dress"),
        ("clothing/images/ignored.jpg", "", ""),
    }
    objects = {row[2] for row in rows if row[1] == "objects"}
    assert objects == {"ant", "zebra"}
    assert len(set(KINDS)) == 32
    assert {row[1:] for row in rows if "tiny-imagenet" in row[0]} == {("tiny-imagenet", "n1")}
    assert len(read_trained_photos(tmp_path / "table.csv")) == len({row[0] for row in rows})


def test_pictures_near_judged_ones_and_repeated_ones_are_left_out(sets, tmp_path, monkeypatch, capsys):
    copies = sets / "bgg-images/images"
    for number, path in enumerate(("clothing/images/heldout.jpg", "tiny/val/n1/1.webp", "clothing/images/ignored.jpg")):
        Image.open(tmp_path / path).resize((48, 48)).save(copies / f"copy{number}.jpg")
    draw_noise(tmp_path / "demo/1.png", 7)
    draw_noise(copies / "demo.jpg", 7)
    (copies / "broken.jpg").write_bytes(b"no picture")
    rows = write_table(tmp_path, monkeypatch, "--apart", tmp_path / "demo")
    assert {row[0] for row in rows if "bgg-images" in row[0]} == {"sets/bgg-images/images/1.jpg"}
    assert "left out: 1 unreadable, 3 near judged ones, 1 repeated" in capsys.readouterr().out


def test_a_set_that_is_missing_is_named(sets, tmp_path, monkeypatch, capsys):
    shutil.rmtree(sets / "imagenette")
    assert write_table(tmp_path, monkeypatch) == 1
    assert f"There is no folder {sets / 'imagenette'}" in capsys.readouterr().err
