"""The torch runtime gives the vectors of the OpenVINO one, from the same directory."""

import shutil
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ml.inference import torch_embedder
from ml.inference.embedder import Embedder
from ml.inference.torch_embedder import SHAPES, TorchEmbedder
from ml.recipe import WEIGHTS, ModelFilesError, Recipe, file_sha256
from tests.built_models import small_model_dir, starter_model_dir
from tests.ml.pictures import scene

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")


@pytest.fixture(scope="module", params=["starter", "small"])
def directory(request):
    return starter_model_dir() if request.param == "starter" else small_model_dir(96)


@pytest.fixture(scope="module")
def small():
    return small_model_dir(96)


def pictures(embedder, count=SHAPES[0] + 4):
    return np.stack([embedder.prepare(scene(seed)) for seed in range(count)])


def cosines(a, b):
    return (a * b).sum(axis=1)


def test_both_runtimes_agree(directory):
    found = TorchEmbedder.load(directory, device="cpu")
    expected = Embedder.load(directory, precision="f32")
    batch = pictures(found)
    assert (found.version, found.dim, found.size, found.recipe) == (
        expected.version,
        expected.dim,
        expected.size,
        expected.recipe,
    )
    assert (batch == pictures(expected)).all()
    vectors = found.embed(batch)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert cosines(vectors, expected.embed(batch)).min() > 0.9999


@pytest.mark.parametrize("directory", ["small", pytest.param("starter", marks=pytest.mark.soak)], indirect=True)
def test_bf16_agrees_with_float32_and_its_gate_was_asked(directory, monkeypatch):
    exact = TorchEmbedder.load(directory, device="cpu")
    lower = TorchEmbedder.load(directory, device="cpu", precision="bf16")
    assert (exact.precision, lower.precision) == ("f32", "bf16")
    batch = pictures(exact)
    agreement = cosines(exact.embed(batch), lower.embed(batch))
    assert 0.99 < agreement.min() < 1 - 1e-6, "bf16 was not used"
    monkeypatch.setattr(torch_embedder, "MIN_COSINE", 1.0001)
    with pytest.raises(ModelFilesError, match=r"agrees with float32 to cosine [01]\.\d+.*EMBED_RUNTIME=openvino"):
        TorchEmbedder.load(directory, device="cpu", precision="bf16")


def test_no_batch_norm_is_left_to_compute(small):
    network: Any = TorchEmbedder.load(small, device="cpu")._network
    assert not [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def test_batches_keep_their_order_whatever_their_length(small, monkeypatch):
    monkeypatch.setattr(torch_embedder, "SHAPES", (2, 5))
    embedder = TorchEmbedder.load(small, device="cpu")
    batch = pictures(embedder, 12)
    singles = np.concatenate([embedder.embed(batch[i : i + 1]) for i in range(len(batch))])
    assert cosines(embedder.embed(batch), singles).min() > 0.9999
    futures = [embedder.submit(batch[i : i + 4]) for i in (0, 4, 8)]
    assert np.allclose(np.concatenate([future.result(60) for future in futures]), singles, atol=1e-4)
    assert embedder.embed(batch[:0]).shape == (0, embedder.dim)


def test_pixels_of_another_network_are_refused(small):
    with pytest.raises(ValueError, match="Expected uint8"):
        TorchEmbedder.load(small, device="cpu").embed(np.zeros((1, 32, 32, 3), np.uint8))


def test_a_network_that_cannot_be_compiled_runs_uncompiled(small, monkeypatch, caplog):
    def refuses(network, **options):
        def call(pictures):
            raise RuntimeError("no C compiler\nand a long trace")

        return call

    monkeypatch.setattr(torch, "compile", refuses)
    recipe, network = Recipe.read(small), nn.Identity()
    monkeypatch.setattr(torch, "zeros", lambda *shape, **options: None)
    assert torch_embedder._compile_network(network, recipe, "cuda") is network
    assert "runs uncompiled: no C compiler" in caplog.text
    assert "trace" not in caplog.text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_sentence_says_so(small):
    with pytest.raises(ModelFilesError, match=r"finds no GPU; install one for CUDA, or set EMBED_RUNTIME=openvino\."):
        TorchEmbedder.load(small, device="cuda")


def test_damaged_weights_are_named(small, tmp_path):
    broken = shutil.copytree(small, tmp_path / "broken")
    (broken / WEIGHTS).write_bytes(b"short")
    with pytest.raises(ModelFilesError, match=r"weights\.safetensors is damaged"):
        TorchEmbedder.load(broken, device="cpu")


def test_a_directory_older_than_this_runtime_says_so(small, tmp_path):
    old = shutil.copytree(small, tmp_path / "old")
    save_file(load_file(small / WEIGHTS), old / WEIGHTS)  # without the network's shape
    recipe = Recipe.read(old)
    recipe.files[WEIGHTS] = file_sha256(old / WEIGHTS)
    recipe.write(old)
    with pytest.raises(ModelFilesError, match=f"{old} cannot be loaded by torch: .* does not say which network"):
        TorchEmbedder.load(old, device="cpu")


@needs_gpu
def test_a_gpu_agrees_with_the_processor(directory):
    gpu, processor = TorchEmbedder.load(directory), TorchEmbedder.load(directory, device="cpu")
    assert gpu.precision == "bf16"
    batch = pictures(processor, SHAPES[1] + 3)
    assert cosines(gpu.embed(batch), processor.embed(batch)).min() > 0.99
    exact = TorchEmbedder.load(directory, precision="f32")
    assert cosines(exact.embed(batch), processor.embed(batch)).min() > 0.9999


@needs_gpu
def test_threads_that_embed_on_a_gpu_at_once_get_their_own_vectors(small):
    embedder = TorchEmbedder.load(small)
    batch = pictures(embedder, 64)
    expected = embedder.embed(batch)
    futures = [embedder.submit(batch[i : i + 16]) for i in range(0, 64, 16)] * 4
    found = [future.result(60) for future in futures]
    assert all(np.allclose(vectors, expected[16 * (i % 4) :][:16], atol=1e-2) for i, vectors in enumerate(found))
