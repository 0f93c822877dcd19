"""Models as command lines name them."""

from __future__ import annotations

import numpy as np
import pytest

from ml.exporting.model_source import load_model, read_trained_photos_of
from ml.folders.trained_photos import write_trained_photos
from ml.network.resnet import Architecture, create_network
from ml.network.weights import write_weights
from ml.recipe import GRAPH, ModelFilesError, Recipe, file_sha256


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.jit")
def test_a_damaged_export_of_a_weights_file_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_CACHE", str(tmp_path / "cache"))
    weights, shape = tmp_path / "small.safetensors", Architecture("resnet18", 8, size=32)
    write_weights(weights, create_network(shape), shape)
    damaged = tmp_path / "cache" / f"small.safetensors-{file_sha256(weights)[:16]}"
    damaged.mkdir(parents=True)
    for name in GRAPH:
        (damaged / name).write_bytes(b"damaged")
    Recipe("small.safetensors", "resnet18", 8, "small.safetensors", "", dict.fromkeys(GRAPH, "")).write(damaged)
    write_trained_photos(weights, np.array([5, 3, 5], np.uint64))
    assert load_model(str(weights), threads=1).dim == 8
    assert [read_trained_photos_of(str(source)).tolist() for source in (weights, damaged)] == [[3, 5], [3, 5]]
    assert read_trained_photos_of("untrained") is None
    assert Recipe.read(damaged).files["embedder.bin"] == file_sha256(damaged / "embedder.bin")


def test_a_folder_without_a_recipe_is_no_model(tmp_path):
    with pytest.raises(ModelFilesError, match=f"{tmp_path}/recipe.json is missing: {tmp_path} holds no model"):
        load_model(str(tmp_path))
