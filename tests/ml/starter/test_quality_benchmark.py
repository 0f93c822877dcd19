"""`python -m benchmarks quality` refuses what it cannot measure, before it loads anything."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import quality


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
