"""A layer on somebody else's network is learned from labels, and what comes out is an encoder as any other."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from ml.__main__ import main
from ml.exporting.encoder_export import build_encoder_model
from ml.folders.trained_photos import read_trained_photos
from ml.inference.embedder import Embedder
from ml.inference.encoders.graph_file import Reading
from ml.recipe import WEIGHTS
from tests.ml.inference.encoder_graphs import SIDE, write_colour_network

EACH = 24


def draw(kind, number):
    """What tells two kinds apart is a little red; how bright a picture is differs far more."""
    rng = np.random.default_rng((number, kind))
    grey = rng.uniform(150, 220)
    pixels = np.full((48, 48, 3), grey) + (np.array([5, 0, 0]) if kind else np.array([0, 5, 0]))
    pixels[::6] = 30
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rows = [("image", "label")]
    for kind in (0, 1):
        for number in range(EACH):
            draw(kind, number).save(folder / f"{kind}-{number}.png")
            rows.append((f"{kind}-{number}.png", f"kind {kind}"))
    with (folder / "pictures.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "pictures.csv"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    encoder = write_colour_network(folder / "colours.onnx")
    build_encoder_model(folder / "colours", "colours", str(encoder), reading=Reading(SIDE))
    return folder / "colours"


def run(table, model, folder, *more):
    choices = [
        "--head",
        str(model),
        "--out",
        str(folder),
        "--validation-share",
        "0.3",
        "--lr",
        "0.05",
        "--epochs",
        "200",
    ]
    return main(["train", str(table), *choices, *more])


def embed(encoder, folder):
    build_encoder_model(folder, "made", str(encoder))
    embedder = Embedder.load(folder)
    return embedder.embed(np.stack([embedder.prepare(draw(kind, 99)) for kind in (0, 1)]))


def test_it_finds_kinds_that_the_network_alone_does_not(table, model, tmp_path, capsys):
    assert run(table, model, tmp_path / "run", "--keep", "0") == 0
    figures = json.loads((tmp_path / "run" / "head.json").read_text())
    assert list(figures) == ["keep 1", "keep 0.7", "keep 0.5", "keep 0.3", "keep 0"]
    assert figures["keep 0"]["map_at_r"] > figures["keep 1"]["map_at_r"] + 0.1
    said = capsys.readouterr().out
    assert f"{figures['keep 0']['map_at_r']:.3f}  <- written" in said
    assert "of which 0% changes nothing" in said


def test_what_comes_out_is_registered_as_any_encoder(table, model, tmp_path):
    assert run(table, model, tmp_path / "run") == 0
    vectors = embed(tmp_path / "run" / "encoder.xml", tmp_path / "made")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)
    assert len(read_trained_photos(tmp_path / "made" / WEIGHTS)) > 0


def test_all_of_the_network_kept_changes_nothing(table, model, tmp_path):
    assert run(table, model, tmp_path / "run", "--keep", "0.999999") == 0
    kept = embed(tmp_path / "run" / "encoder.xml", tmp_path / "made")
    embedder = Embedder.load(model)
    own = embedder.embed(np.stack([embedder.prepare(draw(kind, 99)) for kind in (0, 1)]))
    assert kept == pytest.approx(own, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--freeze", "conv1", "--batch", "8"], "--freeze and --batch can be said of networks alone"),
        (["--head", "nothing.onnx"], "There is no encoder 'nothing.onnx'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(table, model, tmp_path, capsys, options, sentence):
    assert run(table, model, tmp_path / "run", *options) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_one_already_is_refused(table, model, tmp_path, capsys):
    assert run(table, model, tmp_path / "run") == 0
    assert run(table, model, tmp_path / "run") == 1
    assert "encoder.xml is there already; choose another folder." in capsys.readouterr().err
