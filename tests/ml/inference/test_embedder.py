"""Pixels in, unit vectors out: the same vector whatever the batch, the thread or the runtime."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ml.images import decode, encode_jpeg, make_clean_picture
from ml.inference.arrays import is_indexable
from ml.inference.embedder import Embedder
from ml.recipe import ModelFilesError, Recipe
from tests.built_models import share
from tests.ml.pictures import RED, SHARED_PHOTOS, encode, quarters, scene


@pytest.fixture(scope="module")
def batch(embedder):
    return np.stack([embedder.prepare(scene(seed)) for seed in range(6)])


def cosines(a, b):
    return (a * b).sum(axis=1)


def test_attributes_say_what_was_loaded(embedder):
    assert (embedder.version, embedder.dim, embedder.size) == ("untrained", 1000, 224)
    assert embedder.recipe["resize"] == "shorter-side"
    assert embedder.recipe["crop"] == "center"
    assert embedder.precision in ("bf16", "f32")


def test_vectors_are_float32_of_length_one(embedder, batch):
    vectors = embedder.embed(batch)
    assert vectors.dtype == np.float32
    assert vectors.shape == (6, 1000)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert is_indexable(vectors).all()


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_the_runtime_agrees_with_torch(model_dir, batch, precision):
    from safetensors.torch import load_file

    from ml.exporting.export import embed_with_torch
    from ml.network import resnet
    from ml.network.resnet import Architecture

    recipe = Recipe.read(model_dir)
    network = resnet.create_network(Architecture(recipe.arch, recipe.dim)).eval()
    network.load_state_dict(load_file(model_dir / "weights.safetensors"))
    found = Embedder.load(model_dir, threads=2, precision=precision).embed(batch)
    assert cosines(found, embed_with_torch(network, batch, recipe)).min() >= 0.999


def test_the_first_inference_of_a_process_is_made_alone_when_loading(model_dir, monkeypatch):
    """Two threads that made it together waited for ever in one process of three, in OpenVINO's binding."""
    seen = []
    infer = Embedder._infer_vectors
    monkeypatch.setattr(Embedder, "_infer_vectors", lambda self, part: seen.append(part.shape) or infer(self, part))
    Embedder.load(model_dir, parallel=2)
    assert seen == [(1, 224, 224, 3)]


def test_a_batch_gives_what_single_pictures_give(embedder, batch):
    singles = np.concatenate([embedder.embed(batch[i : i + 1]) for i in range(len(batch))])
    assert cosines(embedder.embed(batch), singles).min() > 0.9999


def test_batches_longer_than_one_inference_keep_their_order(embedder, batch):
    many = np.concatenate([batch] * 7)
    vectors = embedder.embed(many)
    assert np.allclose(vectors, np.concatenate([embedder.embed(batch)] * 7), atol=1e-5)


def test_an_empty_batch_gives_no_vectors(embedder):
    assert embedder.embed(np.empty((0, 224, 224, 3), np.uint8)).shape == (0, 1000)


def test_submitted_batches_answer_with_their_own_vectors(embedder, batch):
    futures = [embedder.submit(batch[i : i + 2]) for i in (0, 2, 4)]
    vectors = np.concatenate([future.result(60) for future in futures])
    assert np.allclose(vectors, embedder.embed(batch), atol=1e-5)


def test_threads_that_embed_at_once_get_their_own_vectors(model_dir, batch):
    embedder = Embedder.load(model_dir, threads=2, parallel=2)
    expected = embedder.embed(batch)
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda i: embedder.embed(batch[i : i + 1])[0], [0, 1, 2, 3, 4, 5] * 3))
    assert np.allclose(np.stack(found), np.concatenate([expected] * 3), atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 224, 224, 3), np.float32),
        np.zeros((224, 224, 3), np.uint8),
        np.zeros((1, 200, 224, 3), np.uint8),
    ],
)
def test_other_shapes_and_types_are_refused(embedder, wrong):
    with pytest.raises(ValueError, match=r"Expected uint8\[N, 224, 224, 3\]"):
        embedder.embed(wrong)


def test_a_process_forked_after_loading_is_told_instead_of_hanging(embedder, batch):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            embedder.embed(batch)
        except RuntimeError as exc:
            os.write(writer, str(exc).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    assert b"forked" in os.read(reader, 1000)


@pytest.mark.parametrize("size", [(512, 384), (384, 512), (224, 224), (100, 80), (512, 1), (10_000, 1), (1, 1)])
def test_pictures_of_any_shape_are_prepared(embedder, size):
    pixels = embedder.prepare(Image.new("RGB", size, RED))
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == RED).all()


def test_the_central_square_is_kept_whole(embedder):
    wide = Image.new("RGB", (400, 200), RED)
    wide.paste(quarters(200, 200), (100, 0))
    difference = embedder.prepare(wide).astype(int) - embedder.prepare(quarters(200, 200))
    assert np.abs(difference).mean() < 0.5


def test_only_rgb_is_prepared(embedder):
    with pytest.raises(ValueError, match="mode L"):
        embedder.prepare(Image.new("L", (10, 10)))


def clean_twice(embedder, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of a clean picture from memory, and of the same picture stored and read again."""
    from_memory = make_clean_picture(decode(data, 512))
    from_disk = make_clean_picture(decode(encode_jpeg(from_memory), 512))
    return tuple(embedder.embed(embedder.prepare(picture)[None]) for picture in (from_memory, from_disk))


@pytest.mark.parametrize("seed", range(4))
def test_a_clean_picture_from_memory_and_from_disk_give_the_same_vector(embedder, seed):
    data = encode(scene(seed, (1600, 1200)), "JPEG", quality=92)
    memory, disk = clean_twice(embedder, data)
    other = embedder.embed(embedder.prepare(scene(seed + 1))[None])
    assert cosines(memory, disk).min() >= 0.995
    assert cosines(memory, disk).min() > cosines(memory, other).max()


def test_real_photos_from_memory_and_from_disk_give_the_same_vector(embedder):
    if not SHARED_PHOTOS.exists():
        pytest.skip("the shared photos are not here")
    for path in sorted(SHARED_PHOTOS.iterdir())[:10]:
        memory, disk = clean_twice(embedder, path.read_bytes())
        assert cosines(memory, disk).min() >= 0.995


def copy_of(model_dir, tmp_path):
    """Mostly hard links: a test that changes a file replaces it."""
    directory = tmp_path / "model"
    shutil.copytree(model_dir, directory, copy_function=share)
    return directory


def replace(path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["recipe.json", "embedder.xml", "embedder.bin"])
def test_a_missing_file_is_named(model_dir, tmp_path, name):
    directory = copy_of(model_dir, tmp_path)
    (directory / name).unlink()
    with pytest.raises(ModelFilesError, match=name):
        Embedder.load(directory)


@pytest.mark.parametrize("name", ["embedder.xml", "embedder.bin"])
def test_a_damaged_file_is_named(model_dir, tmp_path, name):
    directory = copy_of(model_dir, tmp_path)
    data = bytearray((directory / name).read_bytes())
    data[len(data) // 2] ^= 1
    replace(directory / name, bytes(data))
    with pytest.raises(ModelFilesError, match=f"{name} is damaged"):
        Embedder.load(directory)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (b'"shorter-side"', b'"stretch"', "resize = 'stretch'"),
        (b'"center"', b'"left"', "crop = 'left'"),
        (b'"format": 1', b'"format": 2', "format = 2"),
        (b'"dim": 1000', b'"dim": 0', "dim = 0"),
        (b'"dim": 1000', b'"dim": 128', r"\[\?,1000\].*\[\?,128\]"),
        (b'"version"', b'"revision"', "not a model recipe"),
        (b'"files": {', b'"files": [{', "not a model recipe"),
        (b"{", b"\x80\x04", "not a model recipe"),
    ],
)
def test_a_foreign_recipe_is_refused(model_dir, tmp_path, old, new, sentence):
    path = copy_of(model_dir, tmp_path) / "recipe.json"
    data = path.read_bytes()
    assert old in data
    replace(path, data.replace(old, new, 1))
    with pytest.raises(ModelFilesError, match=sentence):
        Embedder.load(path.parent)


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelFilesError, match="nowhere"):
        Embedder.load(tmp_path / "nowhere")


def test_a_cache_that_cannot_be_used_is_named(model_dir, tmp_path):
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "cache"
    with pytest.raises(ModelFilesError, match=f"is the cache, {cache}, a folder that can be written"):
        Embedder.load(model_dir, threads=2, cache_dir=cache)


def test_compiled_graphs_are_kept_where_asked(model_dir, tmp_path, batch):
    expected = Embedder.load(model_dir, threads=2, cache_dir=tmp_path / "cache").embed(batch)
    assert any((tmp_path / "cache").iterdir())
    again = Embedder.load(model_dir, threads=2, cache_dir=tmp_path / "cache").embed(batch)
    assert np.allclose(expected, again, atol=1e-5)
