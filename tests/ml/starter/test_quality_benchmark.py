"""`python -m benchmarks quality`: what it refuses before it loads anything, and what its parts count."""

from __future__ import annotations

import argparse
import csv
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks import quality
from benchmarks.quality import first_eight, objects
from benchmarks.quality.colours import relight_photo
from benchmarks.quality.demo import Catalogue, measure_colours_among_kind
from benchmarks.quality.garments import measure_garments
from benchmarks.quality.hues import turn_hue
from benchmarks.quality.items import find_item
from benchmarks.quality.recipes import format_table
from benchmarks.quality.wanted import compare_with_wanted, format_wanted
from ml.starter.photo_sets.sources import read_judged_kinds
from tests.ml.pictures import encode


class MeanColour:
    """Three dimensions: the mean of each channel, as a unit vector."""

    version = "mean colour"
    dim = 3

    def prepare(self, image):
        return np.asarray(image, np.float32).mean(axis=(0, 1))

    def embed(self, batch):
        return batch / np.linalg.norm(batch, axis=1, keepdims=True)


def write_photo(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(Image.new("RGB", (64, 64), colour), "JPEG"))


def options(*arguments) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    quality.add_arguments(parser)
    return parser.parse_args([*map(str, arguments)])


def test_a_folder_without_the_clothing_data_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        options("--clothing", tmp_path)
    assert f"argument --clothing: there is no {tmp_path}/splits.csv" in capsys.readouterr().err
    (tmp_path / "splits.csv").touch()
    (tmp_path / "train").mkdir()
    with pytest.raises(SystemExit):
        options("--clothing", tmp_path, "--tiny", tmp_path)
    assert f"argument --tiny: there is no folder {tmp_path}/val" in capsys.readouterr().err


def test_classes_are_not_left_out_when_they_were_asked_for(tmp_path):
    (tmp_path / "splits.csv").touch()
    with pytest.raises(SystemExit, match="'classes' needs --tiny"):
        quality.run(options("--clothing", tmp_path, "--only", "classes"))
    with pytest.raises(SystemExit, match=f"'objects' needs --objects; there is no folder {tmp_path}/none"):
        quality.run(options("--clothing", tmp_path, "--objects", tmp_path / "none", "--only", "objects"))


def test_photos_of_the_same_sender_do_not_count_in_the_headline(tmp_path):
    rows: list[tuple] = []
    for split in ("unseen", "heldout"):
        for sender in range(4):  # each before a wall of their own colour, which is all that is seen here
            for _ in range(3):
                rows.append((f"{split}{len(rows)}", ("Hat", "Skirt")[sender % 2], sender, split))
                write_photo(tmp_path / "images" / f"{rows[-1][0]}.jpg", (50 + 60 * sender, 130, 250 - 60 * sender))
    with (tmp_path / "splits.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label", "sender_id", "split"), *rows])
    found = measure_garments(MeanColour(), tmp_path)["unseen"]
    together = found["photos of the same sender counted too"]
    assert (found["n"], found["model"]["micro"]["recall_at_1"]) == (12, [0, 0, 0])
    assert together["model"]["micro"]["recall_at_1"] == [1, 1, 1]
    assert found["chance"]["micro"]["recall_at_1"][0] == 0.333  # three of nine by others
    assert together["chance"]["micro"]["recall_at_1"][0] == 0.455  # five of eleven


def test_lists_of_photos_and_kinds_are_as_they_were_drawn(tmp_path):
    with first_eight.QUERIES.open(newline="") as file:
        drawn = Counter(row["label"] for row in csv.DictReader(file))
    assert (len(drawn), set(drawn.values())) == (10, {8})
    kinds = read_judged_kinds()
    assert len(set(kinds)) == 30
    assert "BACKGROUND_Google" not in kinds
    for number, kind in enumerate(kinds):
        for each in range(2):
            write_photo(tmp_path / kind / f"{each}.jpg", (8 * number, 255 - 8 * number, 9 * (number % 7)))
    found = objects.measure_objects(MeanColour(), tmp_path)
    assert (found["n"], found["kinds"], found["model"]["micro"]["recall_at_1"][0]) == (60, 30, 1.0)
    with pytest.raises(SystemExit, match=f"{tmp_path}/{kinds[0]} has no photos of"):
        objects.read_objects(tmp_path / kinds[0])


def test_a_stop_doubles_linear_light_and_white_balance_leaves_green():
    photo = Image.new("RGB", (1, 1), (128, 128, 188))
    assert relight_photo(photo, 1.0).getpixel((0, 0)) == (176, 176, 255)
    assert relight_photo(photo, -1.0).getpixel((0, 0)) == (92, 92, 137)
    assert relight_photo(photo, 0.0, red=1.1, blue=0.9).getpixel((0, 0)) == (134, 128, 179)


def test_only_the_item_is_turned_in_hue():
    noise = Image.effect_noise((200, 160), 12).convert("RGB")
    photo = Image.blend(noise, Image.new("RGB", noise.size, (40, 90, 160)), 0.7)
    ImageDraw.Draw(photo).ellipse((50, 40, 150, 130), fill=(200, 40, 40))
    drawn = np.zeros((160, 200), bool)
    yy, xx = np.mgrid[0:160, 0:200]
    drawn[((xx - 100) / 50) ** 2 + ((yy - 85) / 45) ** 2 <= 1] = True
    item = find_item(photo)
    assert (item & drawn).sum() / (item | drawn).sum() > 0.7
    turned = turn_hue(photo, 120, item)
    assert turned.getpixel((100, 85)) == pytest.approx((40, 200, 40), abs=4)
    assert turned.getpixel((5, 5)) == photo.getpixel((5, 5))


def test_colours_are_asked_for_among_photos_of_the_same_kind():
    right = np.eye(2, dtype=np.float32)[[0, 0, 1, 0, 1]]
    photos = Catalogue(right, np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 0, 0]), np.arange(5))
    # The first two find each other; the third has no other of its colour; of the last two each finds the other alone.
    assert measure_colours_among_kind(photos).tolist() == [1, 1, 1, 1]
    wrong = Catalogue(np.eye(2, dtype=np.float32)[[0, 1, 0, 0, 1]], photos.kinds, photos.colours, photos.listings)
    assert measure_colours_among_kind(wrong).tolist() == [0, 1, 1, 1]


def test_what_is_wanted_stands_beside_what_was_found():
    rows = compare_with_wanted({"classes": {"1-NN": [0.405, 0.39, 0.42]}})
    assert [(row["found"], row["wanted"], row["met"]) for row in rows] == [(0.405, 0.45, False)]
    assert "MISSED" in format_wanted(rows)
    unmeasured = compare_with_wanted({"cost": {"speed beside the former": 0.9, "8 bits minus float32": None}})
    assert [row["met"] for row in unmeasured] == [True, None]
    assert "not measured" in format_wanted(unmeasured)


def test_the_table_of_recipes_has_a_column_for_each_judged_set():
    start = {"unseen": {"mean": 0.4, "sd": None}, "heldout": {"mean": 0.38, "sd": None}}
    trained = {"seconds": {"mean": 61.2, "sd": 0.5}, **start, "forgetting": {"mean": 0.012, "sd": 0.001}}
    heading, _, *rows = format_table({"start": start, "metric": trained}).splitlines()
    assert heading == "| | seconds | unseen | heldout | forgetting |"
    assert rows == ["| start |  | 0.400 | 0.380 |  |", "| metric | 61.200 ± 0.500 | 0.400 | 0.380 | 0.012 ± 0.001 |"]
