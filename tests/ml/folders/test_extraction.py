"""Every picture that can be read gets the vector the site would give it; the others are named with a reason."""

import numpy as np
import pytest

from ml.folders.extraction import UNUSABLE, extract_vectors
from ml.images import decode, make_clean_picture
from ml.inference.embedder import MAX_BATCH
from tests.ml.pictures import encode, scene


class MeanColour:
    """Three dimensions: the mean of each channel, as a unit vector."""

    version = "mean colour"
    dim = 3

    def prepare(self, image):
        return np.asarray(image, np.float32).mean(axis=(0, 1))

    def embed(self, batch):
        assert len(batch) <= MAX_BATCH
        length = np.linalg.norm(batch, axis=1, keepdims=True)
        return np.divide(batch, length, out=np.full_like(batch, np.nan), where=length > 0)


@pytest.fixture
def write(tmp_path):
    def write(name: str, data: bytes):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def test_vectors_are_those_of_the_clean_pictures(write, embedder):
    paths = [write(f"{i}.jpg", encode(scene(i, (700, 600)), "JPEG", quality=80)) for i in range(3)]
    prepared = np.stack([embedder.prepare(make_clean_picture(decode(path.read_bytes(), 512))) for path in paths])
    extraction = extract_vectors(paths, embedder)
    assert extraction.kept.tolist() == [0, 1, 2]
    assert extraction.vectors.shape == (3, embedder.dim)
    np.testing.assert_allclose(extraction.vectors, embedder.embed(prepared), atol=1e-6)


def test_order_is_kept_over_batches_and_refusals_are_named(write):
    pictures = {i: scene(i, (24, 24)) for i in range(2 * MAX_BATCH + 9)}
    paths = [write(f"{i}.png", encode(picture, "PNG")) for i, picture in pictures.items()]
    paths[3].write_bytes(b"no picture")
    paths[MAX_BATCH].write_bytes(paths[MAX_BATCH].read_bytes()[:50])
    paths[-1].unlink()
    for i in (3, MAX_BATCH, len(pictures) - 1):
        del pictures[i]

    extraction = extract_vectors(paths, MeanColour())

    assert extraction.kept.tolist() == list(pictures)
    expected = MeanColour().embed(np.stack([MeanColour().prepare(pictures[i]) for i in list(pictures)[:MAX_BATCH]]))
    np.testing.assert_allclose(extraction.vectors[:MAX_BATCH], expected, atol=1e-6)
    assert [path.name for path, _ in extraction.refused] == ["3.png", f"{MAX_BATCH}.png", paths[-1].name]
    assert extraction.refused[-1][1] == "The file cannot be read: No such file or directory."
    assert all(reason.endswith(".") for _, reason in extraction.refused)


def test_a_picture_without_a_usable_vector_is_refused(write):
    from PIL import Image

    paths = [
        write("white.png", encode(Image.new("RGB", (8, 8), "white"), "PNG")),
        write("black.png", encode(Image.new("RGB", (8, 8), "black"), "PNG")),
    ]
    extraction = extract_vectors(paths, MeanColour())
    assert extraction.kept.tolist() == [0]
    assert extraction.refused == [(paths[1], UNUSABLE)]


def test_nothing_in_nothing_out():
    extraction = extract_vectors([], MeanColour())
    assert extraction.vectors.shape == (0, 3)
    assert extraction.kept.tolist() == extraction.refused == []
