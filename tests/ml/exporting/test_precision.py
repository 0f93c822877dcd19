"""A model runs in 8 bits where that agrees with float32 on its own photos, else in the next precision that does."""

import numpy as np
import pytest
import torch

from ml.exporting import agreement, precision
from ml.exporting.agreement import LEAST_PICTURES
from ml.exporting.export import build_model
from ml.inference import embedder as embedder_module
from ml.inference.arrays import resize_and_crop
from ml.inference.cores import has_int8_units
from ml.inference.embedder import Embedder
from ml.network import resnet
from ml.network.resnet import Architecture
from ml.network.weights import write_weights
from ml.recipe import INT8_GRAPH, Recipe
from tests.ml.pictures import scene

SIDE = 32
SHAPE = Architecture("resnet18", 100, "average", SIDE)
CALIBRATION = 40

needs_int8 = pytest.mark.skipif(not has_int8_units(), reason="the processor has no units for 8 bits")


@pytest.fixture(scope="module", autouse=True)
def few_to_calibrate():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "CALIBRATION", CALIBRATION)
        patch.setattr(precision, "ENOUGH", CALIBRATION + LEAST_PICTURES)
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number}.png" for number in range(CALIBRATION + LEAST_PICTURES)]
    for number, path in enumerate(paths):
        scene(number, (SIDE, SIDE)).save(path, compress_level=1)
    return paths


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    write_weights(path, resnet.create_network(SHAPE), SHAPE)
    return path


@pytest.fixture(scope="module")
def admitted(weights, photos, tmp_path_factory):
    """Through a gate that is wider than ours: no network that is trained in a test's time would pass that."""
    directory = tmp_path_factory.mktemp("models") / "random"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "MIN_OVERLAP", 0.5)
        build_model(directory, "random", weights=str(weights), photos=photos)
    return directory


@needs_int8
def test_a_model_that_keeps_its_neighbours_runs_in_8_bits(admitted, photos):
    recipe = Recipe.read(admitted)
    assert recipe.precision == "int8"
    assert 0.5 < recipe.agreement["int8"]["overlap"] < 1
    assert recipe.agreement["int8"]["pictures"] == LEAST_PICTURES
    recipe.verify_files(admitted, INT8_GRAPH)
    embedder = Embedder.load(admitted)
    assert embedder.precision == "int8"
    batch = np.stack([resize_and_crop(scene(number, (SIDE, SIDE)), SIDE) for number in range(20)])
    vectors, expected = embedder.embed(batch), Embedder.load(admitted, precision="f32").embed(batch)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert 0.93 < (vectors * expected).sum(axis=1).min() < 0.999999


@needs_int8
def test_a_model_that_does_not_falls_back_and_says_by_how_much(weights, photos, tmp_path):
    """Untrained vectors lie so close together that the least error changes their order."""
    recipe = build_model(tmp_path / "model", "untrained", weights=str(weights), photos=photos)
    assert recipe.agreement["int8"]["overlap"] < 0.95
    assert recipe.precision in ("bf16", "f32")
    assert recipe.as_dict() == Recipe.read(tmp_path / "model").as_dict()
    assert not {path.name for path in (tmp_path / "model").iterdir()} & set(INT8_GRAPH)
    assert Embedder.load(tmp_path / "model").precision == recipe.precision


@needs_int8
def test_a_processor_without_units_for_8_bits_takes_the_other_graph(admitted, monkeypatch):
    monkeypatch.setattr(embedder_module, "has_int8_units", lambda: False)
    assert Embedder.load(admitted).precision in ("bf16", "f32")
    monkeypatch.setattr(embedder_module, "computes_bf16", lambda: False)
    assert Embedder.load(admitted).precision == "f32"


def test_too_few_photos_compare_nothing(weights, photos, tmp_path):
    recipe = build_model(tmp_path / "model", "few", weights=str(weights), photos=photos[:100])
    assert (recipe.precision, recipe.agreement) == ("auto", {})
