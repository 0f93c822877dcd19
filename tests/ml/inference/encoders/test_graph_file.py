"""A graph that somebody else made is read as it is, or refused in a sentence that says what it takes."""

import numpy as np
import onnx
import pytest

from ml.inference.encoders.encoder import EncoderError, name_by_content, read_encoder
from ml.inference.encoders.features import NoSuchOutputError
from ml.inference.encoders.graph_file import Reading, UnknownGraphError, read_graph
from ml.inference.openvino_runtime import import_openvino
from ml.recipe import IMAGENET_MEAN, IMAGENET_STD
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

COLOURS = np.array([[30, 90, 200], [124, 116, 104], [255, 255, 255]], np.uint8)


@pytest.fixture
def network(tmp_path):
    return write_colour_network(tmp_path / "colours.onnx")


@pytest.fixture
def compute(tmp_path):
    """Features float32[3, dim] of pictures of one colour each, by a file and what is said of it."""

    def compute_features(path, **said):
        graph = read_graph(path, Reading(SIDE, **said)).graph
        pictures = np.broadcast_to(COLOURS[:, None, None], (3, SIDE, SIDE, 3))
        return import_openvino().Core().compile_model(graph, "CPU")(np.ascontiguousarray(pictures))[0]

    return compute_features


def see(mean=IMAGENET_MEAN, std=IMAGENET_STD):
    """What the network pools of the pictures, float[3, 16]."""
    return ((COLOURS - np.array(mean)) / np.array(std)) @ SEEN


def test_floats_are_normalised_by_imagenets_figures_unless_told(network, compute):
    assert compute(network) == pytest.approx(see(), abs=0.05)
    half = (127.5,) * 3
    assert compute(network, mean=half, std=half) == pytest.approx(see(half, half), abs=0.05)


def test_the_last_average_over_all_places_is_taken_before_what_a_classifier_makes_of_it(network, compute):
    assert compute(network) == pytest.approx(see(), abs=0.05)
    vector = compute(network, output="vector")
    assert vector.shape == (3, DIM)
    assert vector == pytest.approx(see() @ MIXTURE, abs=0.3)


def test_a_picture_of_any_side_has_the_customary_one_unless_told(network):
    assert read_graph(network).size == 224
    assert read_graph(network, Reading(size=64)).size == 64


def test_maps_are_averaged_and_of_a_sequence_the_first_place_is_taken(tmp_path, compute):
    path = write_colour_network(tmp_path / "more.onnx", side=SIDE, more=True)
    assert compute(path, output="maps") == pytest.approx(np.maximum(see(), 0), abs=0.05)
    assert compute(path, output="places") == pytest.approx(see(), abs=0.05)


def test_bytes_with_channels_last_go_in_as_they_are(tmp_path, compute):
    openvino = import_openvino()
    from openvino import opset13 as ops

    given = ops.parameter([1, SIDE, SIDE, 3], np.uint8, "pictures")
    first = ops.transpose(ops.convert(given, np.float32), [0, 3, 1, 2])
    seen = ops.convolution(first, SEEN.T[:, :, None, None].copy(), [1, 1], [0, 0], [0, 0], [1, 1])
    means = ops.reduce_mean(seen, [2, 3], keep_dims=False)
    path = tmp_path / "bytes.xml"
    openvino.save_model(openvino.Model([means], [given], "bytes"), path)
    assert compute(path) == pytest.approx(COLOURS @ SEEN, abs=1)
    with pytest.raises(UnknownGraphError, match="takes bytes as they are"):
        read_graph(path, Reading(mean=(1, 1, 1)))


def write_tail(path, tail, constants=(), axes=("n", 3, SIDE, SIDE), name="vector"):
    """A network that averages its maps and goes on with `tail` from `pooled`, float32[N, 16, 1, 1], to `name`."""
    nodes = [*see_colours(), node("GlobalAveragePool", ["seen"], ["pooled"]), *tail]
    flat = constant("flat", np.array([0, DIM], np.int64))
    return write_network(path, nodes, [KERNEL, flat, *constants], [make_output(name, ["n", DIM])], list(axes))


def test_an_average_over_channels_is_not_taken_for_pooling(tmp_path, compute):
    """Networks that normalise by channels average over these last of all."""
    tail = [
        node("ReduceMean", ["pooled"], ["centre"], axes=[1], keepdims=1),
        node("Sub", ["pooled", "centre"], ["centred"]),
        node("Reshape", ["centred", "flat"], ["vector"]),
    ]
    centred = see() - see().mean(axis=1, keepdims=True)
    assert compute(write_tail(tmp_path / "centred.onnx", tail)) == pytest.approx(centred, abs=0.05)


def test_what_is_made_of_the_average_by_more_than_a_classifier_is_the_vector(tmp_path, compute):
    """As the root that ends generalised-mean pooling."""
    tail = [
        node("Abs", ["pooled"], ["size"]),
        node("Sqrt", ["size"], ["root"]),
        node("Reshape", ["root", "flat"], ["out"]),
    ]
    path = write_tail(tmp_path / "gem.onnx", tail, name="out")
    assert compute(path) == pytest.approx(np.sqrt(np.abs(see())), abs=0.05)
    assert read_graph(path, Reading(SIDE)).output == "out"


def test_an_output_that_calls_itself_an_embedding_is_taken_before_all_others(tmp_path, compute):
    """A projection looks like a classifier, but for its name."""
    tail = [node("Reshape", ["pooled", "flat"], ["means"]), node("MatMul", ["means", "mixture"], ["image_embeds"])]
    path = write_tail(tmp_path / "clip.onnx", tail, [constant("mixture", MIXTURE)], name="image_embeds")
    assert compute(path) == pytest.approx(see() @ MIXTURE, abs=0.3)


def test_a_gate_inside_the_network_is_not_taken(tmp_path, compute):
    """Squeeze and excitation averages maps to weigh them; what is pooled last need not be an average."""
    tail = [node("Mul", ["seen", "pooled"], ["weighed"]), node("GlobalMaxPool", ["weighed"], ["most"])]
    tail += [node("Reshape", ["most", "flat"], ["vector"])]
    found = compute(write_tail(tmp_path / "gate.onnx", tail))
    assert found == pytest.approx(see() ** 2, abs=0.5)


def test_axes_that_are_all_free_are_channels_first(tmp_path, compute):
    tail = [node("Reshape", ["pooled", "flat"], ["vector"])]
    path = write_tail(tmp_path / "free.onnx", tail, axes=("batch", "channels", "height", "width"))
    assert compute(path) == pytest.approx(see(), abs=0.05)


def test_a_file_is_named_by_its_numbers_wherever_they_lie(tmp_path):
    """Large ONNX files keep them in another."""
    names: list[str] = []
    for factor in (1, 1, 2):
        folder = tmp_path / str(len(names))
        folder.mkdir()
        model = onnx.load(write_colour_network(folder / "whole.onnx"))
        for each in model.graph.initializer:
            if each.name == "mixture":
                each.CopyFrom(constant("mixture", MIXTURE * np.float32(factor)))
        onnx.save(model, folder / "t.onnx", save_as_external_data=True, location="t.data", size_threshold=0)
        assert (folder / "t.data").stat().st_size > 0
        names.append(name_by_content(str(folder / "t.onnx")))
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("said", "error", "sentence"),
    [
        ({"output": "vektor"}, NoSuchOutputError, r"no output 'vektor'; it has vector \[.*16\]"),
        ({"size": 64}, UnknownGraphError, "takes pictures of 32 px alone, not of 64"),
    ],
)
def test_what_is_asked_for_and_not_there_is_named(tmp_path, said, error, sentence):
    nodes = [node("Reshape", ["pictures", "flat"], ["line"]), node("MatMul", ["line", "mixture"], ["vector"])]
    constants = [
        constant("flat", np.array([0, 3 * SIDE**2], np.int64)),
        constant("mixture", np.ones((3 * SIDE**2, DIM), np.float32)),
    ]
    path = write_network(
        tmp_path / "fixed.onnx", nodes, constants, [make_output("vector", ["n", DIM])], ["n", 3, SIDE, SIDE]
    )
    with pytest.raises(error, match=sentence):
        read_graph(path, Reading(**said))


def test_several_outputs_and_no_average_need_a_name(tmp_path):
    nodes = [node("Relu", ["pictures"], ["one"]), node("Neg", ["pictures"], ["other"])]
    outputs = [make_output(name, ["n", 3, SIDE, SIDE]) for name in ("one", "other")]
    path = write_network(tmp_path / "two.onnx", nodes, [], outputs, ["n", 3, SIDE, SIDE])
    with pytest.raises(NoSuchOutputError, match=r"name one with --output: one .*, other "):
        read_graph(path)


@pytest.mark.parametrize("shape", [["n", 4, SIDE, SIDE], ["n", 77], ["n", 3, SIDE, 48]])
def test_what_takes_no_square_colour_pictures_is_refused(tmp_path, shape):
    path = write_network(
        tmp_path / "other.onnx", [node("Relu", ["pictures"], ["out"])], [], [make_output("out", shape)], shape
    )
    with pytest.raises(UnknownGraphError, match=r"other\.onnx takes \["):
        read_graph(path)


def test_a_graph_that_was_exported_for_one_picture_takes_several(tmp_path, compute):
    path = write_colour_network(tmp_path / "one.onnx", batch=1)
    assert compute(path, output="vector") == pytest.approx(see() @ MIXTURE, abs=0.3)


def test_a_graph_that_joins_all_pictures_is_refused(tmp_path):
    nodes = [node("GlobalAveragePool", ["pictures"], ["pooled"]), node("Reshape", ["pooled", "flat"], ["all"])]
    nodes += [node("Mul", ["all", "two"], ["doubled"])]
    constants = [constant("flat", np.array([1, -1], np.int64)), constant("two", np.array([2], np.float32))]
    path = write_network(tmp_path / "all.onnx", nodes, constants, [make_output("doubled", [1, 3])], [1, 3, SIDE, SIDE])
    with pytest.raises(UnknownGraphError, match="export it with a free number of pictures"):
        read_graph(path, Reading(SIDE, output="doubled"))


def test_a_file_that_is_no_graph_and_one_that_is_missing_are_told_apart(tmp_path):
    path = tmp_path / "notes.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(UnknownGraphError, match=r"notes\.onnx is no graph that OpenVINO reads"):
        read_encoder(str(path))
    with pytest.raises(EncoderError, match=r"neither one of efficientnet-lite0, efficientnet-lite2 nor a file"):
        read_encoder(str(tmp_path / "missing.onnx"))
