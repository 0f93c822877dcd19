"""`python -m ml evaluate` tells its figures, writes what was asked for, and refuses in one sentence."""

import csv
import json
import shutil

import pytest

from ml.__main__ import main
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
