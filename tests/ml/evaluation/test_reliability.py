"""An evaluation says how often probabilities are right, where the model has any."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from ml.__main__ import main
from ml.exporting.encoder_export import build_encoder_model
from ml.inference.calibration.files import calibration_path, read_calibration, write_calibration
from ml.inference.calibration.fitting import LabelledVectors, fit_calibration
from ml.inference.calibration.pictures import embed_blanks, embed_pictures
from ml.inference.calibration.reliability import measure_reliability
from ml.inference.embedder import Embedder
from ml.inference.encoders.graph_file import Reading
from ml.recipe import WEIGHTS
from tests.ml.inference.encoder_graphs import SIDE, write_colour_network

KINDS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 200)}
EACH = 16


def draw(kind, seed):
    """Stripes of nearly one colour, as bright as the seed has it."""
    rng = np.random.default_rng((seed, *KINDS[kind]))
    colour = np.clip(np.array(KINDS[kind]) + rng.normal(0, 45, 3), 0, 255)
    pixels = np.full((64, 64, 3), colour)
    pixels[::8] = 255
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that knows colours, and a curve fitted on other pictures of the same kinds."""
    folder = tmp_path_factory.mktemp("model")
    directory = folder / "colours"
    encoder = write_colour_network(folder / "colours.onnx")
    build_encoder_model(directory, "colours", str(encoder), reading=Reading(SIDE))
    embedder = Embedder.load(directory)
    labels = [kind for kind in KINDS for _ in range(EACH)]
    vectors = embed_pictures(
        [draw(kind, 100 + number) for kind in KINDS for number in range(EACH)], embedder, "pictures"
    )
    curve = fit_calibration(LabelledVectors(vectors, labels), vectors, embed_blanks(embedder), "labels")
    write_calibration(directory / WEIGHTS, curve)
    return directory


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rows = []
    for kind in KINDS:
        for number in range(EACH):
            draw(kind, number).save(folder / f"{kind}{number}.png")
            rows.append((f"{kind}{number}.png", kind))
    with (folder / "pictures.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *rows])
    return folder / "pictures.csv"


def test_it_is_told_written_and_drawn(model, table, tmp_path, capsys):
    out = tmp_path / "found.json", tmp_path / "found.html"
    assert main(["evaluate", str(table), "--model", str(model), "--json", str(out[0]), "--html", str(out[1])]) == 0
    found = json.loads(out[0].read_text())["calibration"]
    assert 0 < found["error"] < 0.15
    assert sum(tenth["pairs"] for tenth in found["tenths"]) == found["pairs"]
    assert found["tenths"][0]["true"] < found["tenths"][-1]["true"]
    assert f"Probabilities are off by {found['error']:.3f}" in capsys.readouterr().out
    page = out[1].read_text()
    assert "How often probabilities are right" in page
    assert page.count("<circle") == len(found["tenths"])


def test_a_curve_may_be_another_than_the_models_own(model, table, tmp_path, capsys):
    """One that says the opposite is told so."""
    own = read_calibration(model / WEIGHTS)
    write_calibration(tmp_path / "wrong.safetensors", dataclasses.replace(own, slope=-own.slope, offset=0.0))
    wrong = calibration_path(tmp_path / "wrong.safetensors")
    assert main(["evaluate", str(table), "--model", str(model), "--calibration", str(wrong)]) == 0
    error = float(capsys.readouterr().out.split("Probabilities are off by ")[1][:5])
    assert error > 0.3


def test_too_few_pairs_say_nothing(model):
    curve = read_calibration(model / WEIGHTS)
    vectors = np.eye(4, 3, dtype=np.float32)
    assert measure_reliability(curve, vectors, ["a", "a", "b", "b"]) is None
