"""Even untrained, the whole path from file to vector recognises a recompressed copy of a photo."""

import io

import numpy as np
import pytest
from PIL import Image

from ml.images import decode, make_clean_picture
from tests.ml.pictures import SHARED_PHOTOS, encode, scene


def vectors(embedder, files):
    pixels = [embedder.prepare(make_clean_picture(decode(data, 512))) for data in files]
    return embedder.embed(np.stack(pixels)).astype(np.float16).astype(np.float32)


def recompressed(data: bytes) -> bytes:
    return encode(Image.open(io.BytesIO(data)).convert("RGB"), "JPEG", quality=60)


def found_first(embedder, originals, copies) -> float:
    similarity = vectors(embedder, copies) @ vectors(embedder, originals).T
    return float((similarity.argmax(axis=1) == np.arange(len(copies))).mean())


@pytest.mark.parametrize("count", [12, pytest.param(40, marks=pytest.mark.soak)])
def test_recompressed_drawings_find_their_original(embedder, count):
    originals = [encode(scene(seed), "JPEG", quality=92) for seed in range(count)]
    assert found_first(embedder, originals, [recompressed(data) for data in originals]) >= 0.95


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_recompressed_photos_find_their_original(embedder, count):
    if not SHARED_PHOTOS.exists():
        pytest.skip("the shared photos are not here")
    originals = [path.read_bytes() for path in sorted(SHARED_PHOTOS.iterdir())[:count]]
    assert found_first(embedder, originals, [recompressed(data) for data in originals]) >= 0.95
