"""`python -m ml evaluate` tells its figures, writes what was asked for, and refuses in one sentence."""

import csv
import json
import shutil

import numpy as np
import pytest

from ml.__main__ import main
from ml.folders.perceptual_hash import hash_picture
from ml.folders.trained_photos import trained_photos_path, write_trained_photos
from ml.recipe import WEIGHTS
from tests.ml.pictures import encode, scene

KEYS = {"recall_at_1", "recall_at_5", "recall_at_10", "map_at_r"}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Four scenes, three recompressed copies of each; the copies of a scene are a class."""
    folder = tmp_path_factory.mktemp("photos")
    rows = [("image", "label", "item")]
    for seed in range(4):
        for quality in (30, 60, 90):
            name = f"{seed}-{quality}.jpg"
            (folder / name).write_bytes(encode(scene(seed), "JPEG", quality=quality))
            rows.append((name, f"scene {seed}", f"{seed}"))
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    rows.append(("torn.jpg", "scene 0", "0"))
    return write(folder / "photos.csv", rows)


def write(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def refusal(capsys, *arguments):
    assert main(["evaluate", *map(str, arguments)]) == 1
    return capsys.readouterr().err.strip()


def test_figures_are_told_and_written(table, model_dir, tmp_path, capsys):
    out = tmp_path / "found.json", tmp_path / "found.html"
    arguments = [str(table), "--model", str(model_dir), "--at-least", "2", "--json", str(out[0]), "--html", str(out[1])]
    assert main(["evaluate", *arguments]) == 0
    found = json.loads(out[0].read_text())
    assert (found["model"], found["n"]) == ("untrained", 12)
    for name in KEYS:
        assert set(found[name]) == {"mean", "low", "high"}
        assert found[name]["low"] <= found[name]["mean"] <= found[name]["high"]
    assert found["recall_at_1"]["mean"] == 1
    assert found["macro"].keys() >= KEYS
    assert found["floor"]["chance"]["map_at_r"]["mean"] < found["map_at_r"]["mean"]
    told = capsys.readouterr().out
    assert "Pictures that could not be read: 1." in told
    assert "torn.jpg: " in told
    assert "Mean over 12 queries (micro)" in told
    assert f"Which photos {model_dir} was trained on is not known" in told
    assert out[1].read_text().startswith("<!doctype html>")


def test_two_models_are_compared_with_queries_and_gallery_apart(table, model_dir, tmp_path, capsys):
    copy = shutil.copytree(model_dir, tmp_path / "copy")
    arguments = ["--queries", str(table), "--gallery", str(table), "--compare", str(model_dir), str(copy)]
    assert main(["evaluate", *arguments]) == 0
    assert "cannot be told apart on these pictures" in capsys.readouterr().out


def test_options_that_do_not_go_together_are_refused_before_any_work(table, tmp_path, capsys):
    assert "--queries CSV and --gallery CSV together" in refusal(capsys, "--gallery", table)
    assert "Name one CSV" in refusal(capsys)
    assert "Name one CSV" in refusal(capsys, table, "--queries", table, "--gallery", table)
    assert "two different models" in refusal(capsys, table, "--compare", "starter", "starter")
    assert "has no column 'sender'" in refusal(capsys, table, "--group", "sender")


@pytest.mark.parametrize("option", ["--json", "--html"])
@pytest.mark.parametrize(
    ("name", "says"),
    [(".", " is a folder; name a file"), ("none/found", ": there is no folder "), ("x" * 256, ": File name too long")],
)
def test_what_cannot_be_written_is_refused_before_any_work(table, tmp_path, capsys, option, name, says):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", str(table), option, str(tmp_path / name)])
    assert stopped.value.code == 2
    assert f"argument {option}: {tmp_path / name}" in (told := capsys.readouterr().err)
    assert says in told


def test_figures_that_cannot_be_written_are_told_and_no_part_of_them_stays(table, model_dir, tmp_path, capsys):
    too_long = tmp_path / ("x" * 251)  # for its unfinished part, which has a longer name
    assert main(["evaluate", str(table), "--model", str(model_dir), "--json", str(too_long)]) == 1
    said = capsys.readouterr()
    assert "Mean over 12 queries (micro)" in said.out
    assert "File name too long" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_pictures_or_a_missing_model_is_refused(table, tmp_path, capsys):
    empty = write(tmp_path / "empty.csv", [("image", "label")])
    assert refusal(capsys, empty) == f"evaluate: {empty} lists no pictures."
    assert str(tmp_path / "nothing") in refusal(capsys, table, "--model", tmp_path / "nothing")


def test_when_every_copy_is_of_the_querys_own_item_nothing_is_left_to_find(table, model_dir, capsys):
    assert "No picture has another of its class" in refusal(capsys, table, "--model", model_dir, "--group", "item")


def test_other_models_stand_beside_every_figure_and_the_worst_class_comes_first(table, model_dir, tmp_path, capsys):
    copy, found = shutil.copytree(model_dir, tmp_path / "copy"), tmp_path / "found.json"
    arguments = [str(table), "--model", str(model_dir), "--beside", str(copy), "--json", str(found)]
    assert main(["evaluate", *arguments, "--html", str(tmp_path / "found.html")]) == 0
    told = capsys.readouterr().out
    heading, *classes = told[told.index("class    ") :].splitlines()[:5]
    assert heading.split() == ["class", "n", "R@1", "P@10", "mAP@R", str(copy), "histogram", "chance"]
    means = [float(line.split()[5]) for line in classes]
    assert means == sorted(means)
    figures = json.loads(found.read_text())
    assert figures["beside"][str(copy)]["map_at_r"] == figures["map_at_r"]
    assert f"<th>{copy}</th>" in (tmp_path / "found.html").read_text()
    assert "--compare has two models already" in refusal(capsys, table, "--compare", "a", "b", "--beside", "c")
    assert "two different models" in refusal(capsys, table, "--beside", "starter")


def test_pictures_that_a_model_was_trained_on_are_refused_until_somebody_says_what_to_do(
    table, model_dir, tmp_path, capsys
):
    model, found = shutil.copytree(model_dir, tmp_path / "model"), tmp_path / "found.json"
    arguments = [table, "--model", model, "--json", found]
    write_trained_photos(model / WEIGHTS, np.array([hash_picture(scene(3)), hash_picture(scene(99))]))
    said = refusal(capsys, *arguments)
    assert f"{model} was trained on 3 of these 13 pictures or on copies of them, {table.parent}/3-30.jpg first" in said
    for choice, judged in (("drop", 9), ("keep", 12)):
        assert main(["evaluate", *map(str, arguments), "--trained-photos", choice]) == 0
        assert f"3 pictures searched with {model} was trained on" in capsys.readouterr().out
        figures = json.loads(found.read_text())
        assert (figures["n"], figures["trained_photos"][str(model)]["pictures"]) == (judged, 3)
    short = write(table.parent / "short.csv", [("image", "label"), ("3-30.jpg", "scene 3"), ("3-60.jpg", "scene 3")])
    assert "were trained on all 2 pictures" in refusal(capsys, short, "--model", model, "--trained-photos", "drop")
    trained_photos_path(model / WEIGHTS).write_bytes(b"no array")
    assert "weights.photos.npy is damaged" in refusal(capsys, *arguments)
