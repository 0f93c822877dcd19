"""A network learns what a teacher, read from a graph file, says of pictures, beside the labels that there are."""

import csv
import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ml.__main__ import main
from ml.inference.encoders.encoder import read_encoder
from ml.inference.openvino_runtime import import_openvino
from ml.network.folded import read_folded_weights, unfold_normalisation
from ml.network.resnet import Architecture, create_network
from ml.network.weights import read_weights
from ml.training.data.batches import Batch
from ml.training.data.label_sets import UNLABELLED, read_labelled_pictures
from ml.training.data.photo_pixels import decode_photos
from ml.training.learning.loss import make_loss
from ml.training.plan import DISTIL
from ml.training.teaching.teaching import Teaching
from tests.ml.shapes import KINDS, draw_shapes
from tests.ml.training.runs import assert_same_bits, killed_after_an_epoch

SIDE = 32


class MeanColours(nn.Module):
    """A teacher that knows nothing but colours: float32[N, 3, S, S] -> means of channels, float32[N, 3, 1, 1]."""

    def forward(self, pictures):
        return torch.nn.functional.avg_pool2d(pictures, SIDE)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    openvino = import_openvino()
    graph = openvino.convert_model(MeanColours(), example_input=torch.zeros(1, 3, SIDE, SIDE))
    graph.reshape([-1, 3, SIDE, SIDE])
    path = tmp_path_factory.mktemp("teacher") / "colours.xml"
    openvino.save_model(graph, path, compress_to_fp16=False)
    return path


@pytest.fixture
def table(tmp_path):
    """Pictures of four colours: of half their kind is known, of some their number, of the others nothing."""
    with draw_shapes(tmp_path / "shapes").open(newline="") as file:
        drawn = list(csv.DictReader(file))
    rows = []
    for number, row in enumerate(drawn):
        labels = [("kinds", row["label"])] * (number % 2 == 0) + [("numbers", str(number % 8))] * (number % 4 == 0)
        rows += [(row["image"], *label) for label in labels or [("", "")]]
    path = tmp_path / "shapes" / "label-sets.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label set", "label"), *rows])
    return path


def distil_arguments(table, folder, teacher):
    choices = ["--recipe", "distil", "--weights", "untrained", "--arch", "resnet18", "--dim", "8", "--size", "32"]
    choices += ["--teacher", str(teacher), "--out", str(folder), "--batch", "16", "--threads", "1", "--epochs", "9"]
    return ["train", str(table), *choices]


def run_distil(table, folder, teacher, *more):
    return main([*distil_arguments(table, folder, teacher), *more])


def test_a_teacher_gives_the_means_of_normalised_channels(teacher):
    encoder = read_encoder(str(teacher), threads=1)
    assert (encoder.side, encoder.dim) == (SIDE, 3)
    pictures = np.zeros((33, SIDE, SIDE, 3), np.uint8)
    pictures[32] = (124, 116, 104)  # ImageNet's mean, rounded
    vectors = encoder.embed(pictures)
    assert vectors[0] == pytest.approx([-2.118, -2.036, -1.804], abs=0.02)
    assert vectors[32] == pytest.approx([0, 0, 0], abs=0.02)


def test_label_sets_say_what_is_known_of_each_picture(table):
    pictures = read_labelled_pictures(table)
    kinds, numbers = pictures.label_sets
    assert kinds.classes == tuple(sorted(KINDS))
    assert (kinds.targets != UNLABELLED).tolist() == [number % 2 == 0 for number in range(32)]
    assert (numbers.targets != UNLABELLED).sum() == 8
    assert pictures.kinds.labels[:4] == ("kinds+numbers", "", "kinds", "")


def test_a_run_that_is_killed_ends_with_the_same_bits(table, teacher, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_distil(table, whole, teacher) == 0
    losses = [json.loads(line)["loss"] for line in (whole / "history.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    killed_after_an_epoch([sys.executable, "-m", "ml", *distil_arguments(table, killed, teacher)], killed)
    assert run_distil(table, killed, teacher) == 0
    one, other = (read_weights(folder / "weights.safetensors").network.state_dict() for folder in (whole, killed))
    assert_same_bits(one, other)
    assert not (whole / "cache").exists()


class Counting:
    """A teacher that counts the pictures it is asked of."""

    def __init__(self, path, name=""):
        encoder = read_encoder(str(path), threads=1)
        self.name, self.side, self.dim, self.embed_pictures = name or encoder.name, SIDE, encoder.dim, encoder.embed
        self.asked = 0

    def embed(self, pictures):
        self.asked += len(pictures)
        return self.embed_pictures(pictures)


def decode_table(table, folder):
    pictures = read_labelled_pictures(table)
    return replace(decode_photos(pictures.kinds, 48, folder), label_sets=pictures.label_sets)


def ask_all(teachers, photos, folder, plan=DISTIL):
    taught = Teaching(teachers, photos, plan, folder)
    order = np.arange(len(photos.targets))
    return taught.prepare_lessons(0, order).vectors(order)


def test_no_teacher_is_asked_of_pictures_whose_labels_tell_more(table, teacher, tmp_path):
    photos = decode_table(table, tmp_path / "cache")
    counting = Counting(teacher)
    vectors = ask_all([counting], photos, tmp_path / "said", replace(DISTIL, untaught=("numbers",)))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.where(np.arange(32) % 4 == 0, 0, 1))
    assert counting.asked == 24


def test_what_was_said_is_asked_once_of_the_same_teacher_and_pictures(table, teacher, tmp_path):
    photos, said = decode_table(table, tmp_path / "cache"), tmp_path / "said"
    counting, again, other = Counting(teacher), Counting(teacher), Counting(teacher, "another")
    first = ask_all([counting], photos, said)
    assert np.array_equal(ask_all([again], decode_table(table, tmp_path / "cache"), said), first)
    ask_all([other], photos, said)
    assert (counting.asked, again.asked, other.asked) == (32, 0, 32)


def test_pictures_that_changed_are_asked_of_anew(table, teacher, tmp_path):
    before = ask_all([Counting(teacher)], decode_table(table, tmp_path / "cache"), tmp_path / "said")
    names = sorted(path for path in table.parent.iterdir() if path.suffix == ".png")
    swapped = {one: other.read_bytes() for one, other in zip(names, reversed(names), strict=True)}
    for path, data in swapped.items():
        path.write_bytes(data)
    counting = Counting(teacher)
    after = ask_all([counting], decode_table(table, tmp_path / "cache"), tmp_path / "said")
    assert counting.asked == 32
    assert not np.allclose(before, after)


def test_two_teachers_count_alike_and_what_all_pictures_share_counts_for_nothing(table, teacher, tmp_path):
    photos = decode_table(table, tmp_path / "cache")
    vectors = ask_all([Counting(teacher), Counting(teacher, "another")], photos, tmp_path / "said")
    halves = vectors[:, :3], vectors[:, 3:]
    assert np.linalg.norm(halves[0], axis=1) == pytest.approx(np.sqrt(0.5))
    assert halves[0] == pytest.approx(halves[1])
    assert np.abs(vectors.mean(axis=0)).max() < 0.1


def test_a_table_without_any_label_is_learned_from_teachers_alone(table, teacher, tmp_path):
    names = sorted({row["image"] for row in csv.DictReader(table.open(newline=""))})
    table.write_text("image,label set,label\n" + "".join(f"{name},,\n" for name in names))
    assert run_distil(table, tmp_path / "run", teacher) == 0


def test_a_table_of_label_sets_is_for_distil_alone(table, tmp_path, capsys):
    assert main(["train", str(table), "--out", str(tmp_path / "run"), "--weights", "untrained"]) == 1
    assert "is a table of label sets, for --recipe distil; metric takes image,label." in capsys.readouterr().err


def test_what_nobody_was_asked_of_is_learned_from_labels_alone():
    loss = make_loss(replace(DISTIL, label_weight=0.0), [4], 8, 16).eval()
    vectors, targets = torch.randn(6, 8), torch.zeros(6, 1, dtype=torch.int64)
    taught = torch.nn.functional.normalize(torch.randn(6, 16))
    taught[3:] = 0
    half = Batch(torch.zeros(0), targets[:3], taught[:3])
    assert loss(vectors, Batch(torch.zeros(0), targets, taught))[0] == 0.5 * loss(vectors[:3], half)[0]
    assert loss(vectors, Batch(torch.zeros(0), targets, torch.zeros(6, 16)))[0] == 0


@pytest.mark.parametrize(
    ("untaught", "sentence"),
    [
        ("colours", "There is no label set 'colours'; the table has: kinds, numbers."),
        ("kinds", "Teachers are asked of no picture: all have a label in kinds."),
    ],
)
def test_label_sets_that_cannot_be_left_to_labels_are_named(table, teacher, tmp_path, capsys, untaught, sentence):
    rows = [row for row in table.read_text().splitlines() if ",," not in row]
    table.write_text("\n".join(rows) + "\n")
    assert run_distil(table, tmp_path / "run", teacher, "--untaught", untaught) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("red0.png,kinds,\n", "line 2: image, label set or label is empty."),
        ("red0.png,kinds,red\nred0.png,kinds,blue\n", "line 3: red0.png has two labels of 'kinds'."),
        ("gone.png,,\n", "there is no picture"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(table, teacher, tmp_path, capsys, rows, sentence):
    table.write_text("image,label set,label\n" + rows)
    assert run_distil(table, tmp_path / "run", teacher) == 1
    assert sentence in capsys.readouterr().err


def test_a_teacher_that_cannot_be_had_is_named(table, tmp_path, capsys):
    assert run_distil(table, tmp_path / "run", tmp_path / "gone.onnx") == 1
    assert "There is no encoder" in capsys.readouterr().err
    assert run_distil(table, tmp_path / "run", table) == 1
    assert "is no graph that OpenVINO reads" in capsys.readouterr().err
    assert main(["train", str(table), "--recipe", "distil", "--out", str(tmp_path / "run")]) == 1
    assert "--recipe distil and --teacher need each other" in capsys.readouterr().err
    assert (
        main(["train", str(draw_shapes(tmp_path / "all")), "--untaught", "kinds", "--out", str(tmp_path / "run")]) == 1
    )
    assert "--untaught is about teachers; give a --teacher too." in capsys.readouterr().err


def test_folded_normalisation_is_made_whole(tmp_path):
    torch.manual_seed(2)
    shape = Architecture("resnet18", 8, "gem", SIDE)
    network: Any = create_network(shape).eval()
    names = [name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)]
    weights = {f"{name}.weight": network.get_submodule(name).weight.detach().clone() for name in names}
    biases = {f"{name}.bias": torch.randn(len(weights[f"{name}.weight"])) for name in names}
    save_file(weights | biases, tmp_path / "folded.safetensors")
    pictures = torch.randn(16, 3, SIDE, SIDE)
    unfold_normalisation(network, read_folded_weights(tmp_path / "folded.safetensors"), pictures)
    with torch.no_grad():
        seen = network.bn1(network.conv1(pictures))
        expected = torch.nn.functional.conv2d(pictures, weights["conv1.weight"], biases["conv1.bias"], 2, 3)
        assert torch.allclose(seen, expected, atol=1e-4)
        deep = network.layer4[0].downsample(network.layer3(network.layer2(network.layer1(seen))))
        assert deep.shape[1] == 512
        assert torch.allclose(
            network.layer4[0].downsample[1].running_mean + biases["layer4.0.downsample.0.bias"],
            network.layer4[0].downsample[1].bias,
        )
        assert torch.allclose(network.train().bn1(network.conv1(pictures)), expected, atol=1e-3)
