from __future__ import annotations

import json
import os
import pickle
import re
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ml.network import resnet
from ml.network.resnet import Architecture
from ml.network.weights import WeightsError, load_network, read_weights, write_weights

TINY = Architecture("resnet18", 8, "gem", 32)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_weights(path, resnet.create_network(TINY), TINY, recipe="metric")
    return path


def test_weights_come_back_with_their_shape_and_what_was_said_of_them(tmp_path):
    network = resnet.create_network(TINY).eval()
    path = tmp_path / "weights.safetensors"
    write_weights(path, network, TINY, recipe="metric")
    loaded = load_network(str(path))
    assert loaded.architecture == TINY
    assert loaded.about == {"recipe": "metric"}
    pictures = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        cosine = torch.nn.functional.cosine_similarity(loaded.network(pictures), network(pictures))
    assert cosine.min() > 0.9999


def test_equal_weights_are_equal_bytes_that_others_may_read(weights):
    again = weights.with_name("again.safetensors")
    loaded = read_weights(weights)
    write_weights(again, loaded.network, loaded.architecture, **loaded.about)
    assert again.read_bytes() == weights.read_bytes()
    assert again.stat().st_mode & 0o044 == 0o044


def test_matrices_take_two_bytes_and_statistics_keep_their_range(tmp_path):
    network: Any = resnet.create_network(TINY)
    network.get_submodule("bn1").running_var.fill_(1e6)
    path = tmp_path / "weights.safetensors"
    write_weights(path, network, TINY)
    assert path.stat().st_size < 2.1 * sum(p.numel() for p in network.parameters())
    read: Any = read_weights(path).network
    assert read.get_submodule("bn1").running_var.max() == 1e6


def test_pickled_code_is_refused_and_never_runs(tmp_path):
    ran = tmp_path / "ran"

    class Touch:
        def __reduce__(self):
            return os.mkdir, (str(ran),)

    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Touch()))
    with pytest.raises(WeightsError, match=f"{path} is no complete safetensors file.*pickled code"):
        read_weights(path)
    assert not ran.exists()


def test_a_torch_checkpoint_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(resnet.create_network(TINY).state_dict(), path)
    with pytest.raises(WeightsError, match=f"{path} is no complete safetensors file"):
        read_weights(path)


@pytest.mark.parametrize("kept", [0, 7, 1000, -1])
def test_a_truncated_file_is_refused(weights, kept):
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=f"{weights} is no complete safetensors file"):
        read_weights(weights)


def test_a_file_of_another_architecture_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_weights(path, resnet.create_network(TINY), Architecture("resnet34", 8, "gem", 32))
    with pytest.raises(WeightsError, match=f"{path} does not hold the resnet34 with 8 dimensions it names: .* missing"):
        read_weights(path)


def test_a_file_of_another_dimension_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_weights(path, resnet.create_network(TINY), Architecture("resnet18", 16, "gem", 32))
    with pytest.raises(WeightsError, match=f"{path} does not hold the resnet18 with 16 dimensions it names: size"):
        read_weights(path)


@pytest.mark.parametrize(("asked", "sentence"), [({"arch": "resnet50"}, "arch resnet18"), ({"dim": 9}, "dim 8")])
def test_what_was_asked_for_is_compared_with_the_file(weights, asked, sentence):
    with pytest.raises(WeightsError, match=f"{weights} holds a network with {sentence}, not"):
        load_network(str(weights), **asked)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"dim": "3"}, "has dim '3'; it must be a number from 1 to 8192"),
        ({"dim": None}, "has dim None; it must"),
        ({"dim": 10**13}, "has dim 10000000000000; it must"),
        ({"size": "112"}, "has size '112'; it must be a number from 8 to 1024"),
        ({"size": 112.5}, "has size 112.5; it must"),
        ({"stages": 5}, "has stages 5; it must be a number from 1 to 4"),
        ({"colours": True}, "has colours True; it must"),
        ({"colour_blur": 0}, "has colour_blur 0; it must be a number from 0.5 to 100.0"),
        ({"lightness": -0.5}, "has lightness -0.5; it must be a number from 0.0 to 1.0"),
        ({"constancy": 2}, "has constancy 2; it must be a number from 0.0 to 1.0"),
        ({"colour_share": 1.0}, "has colour_share 1.0; it must be a number from 0.0 to 0.99"),
        ({"colour_share": float("nan")}, "has colour_share nan; it must"),
        ({"colours": 8}, "names a network that cannot be made. A vector of 8 dimensions"),
        ({"arch": "resnet99"}, "names a network that cannot be made. Unknown architecture 'resnet99'"),
        ({"pooling": ["gem"]}, "names a network that cannot be made. Unknown pooling"),
    ],
)
def test_a_network_that_makes_no_sense_is_refused_and_its_file_named(tmp_path, changed, says):
    path = tmp_path / "weights.safetensors"
    described = json.dumps({"architecture": TINY.as_dict() | changed})
    save_file({"weight": torch.zeros(2)}, path, {"network": described})
    with pytest.raises(WeightsError, match=re.escape(f"{path} {says}")):
        read_weights(path)


@pytest.mark.parametrize("described", [None, "resnet18", "[]", "{}", '{"architecture": {"depth": 18}}'])
def test_safetensors_that_do_not_name_their_network_are_refused(tmp_path, described):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2)}, path, None if described is None else {"network": described})
    with pytest.raises(WeightsError, match=f"{path} does not say which network"):
        read_weights(path)
