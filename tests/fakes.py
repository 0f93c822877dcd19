"""A deterministic embedder for tests of order, leases and the index: a vector says what it was made from."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.inference.embedder import Embedder
from recommender.embedding.embedder_cache import EmbedderCache
from recommender.models import EmbeddingModel

GRID = 4


class FakeEmbedder:
    """Vectors are the mean colours of a grid over the picture, so equal pixels give equal vectors.

    `batches` holds how many pictures each call embedded, in order; `poison` replaces the vectors that are returned.
    """

    version = "fake"
    size = 32

    def __init__(self, dim: int = GRID * GRID * 3, *, seconds: float = 0.0) -> None:
        self.dim = dim
        self.recipe: dict[str, Any] = {"weights": "fake"}
        self.batches: list[int] = []
        self.poison: float | None = None
        self._seconds = seconds
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(1)

    def prepare(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        return np.asarray(image.convert("RGB").resize((self.size, self.size), Image.Resampling.BOX))

    def embed(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        assert batch.dtype == np.uint8
        assert batch.shape[1:] == (self.size, self.size, 3)
        with self._lock:
            self.batches.append(len(batch))
        time.sleep(self._seconds)
        if self.poison is not None:
            return np.full((len(batch), self.dim), self.poison, np.float32)
        return np.stack([self._vector(picture) for picture in batch])

    def submit(self, batch: npt.NDArray[np.uint8]) -> Future[npt.NDArray[np.float32]]:
        return self._executor.submit(self.embed, batch)

    @property
    def embedded(self) -> int:
        """Pictures embedded so far, the drawn test picture included."""
        return sum(self.batches)

    def _vector(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        side = self.size // GRID
        cells = picture.reshape(GRID, side, GRID, side, 3).mean(axis=(1, 3)).reshape(-1) + 1
        vector = np.resize(cells, self.dim).astype(np.float32)
        return vector / np.linalg.norm(vector)


class FakeCache(EmbedderCache):
    """Opens what `find` says for a model, instead of files."""

    def __init__(self, find: Callable[[EmbeddingModel], FakeEmbedder]) -> None:
        super().__init__()
        self._find = find

    def open_verified_embedder(self, model: EmbeddingModel) -> Embedder:
        return cast("Embedder", self._find(model))  # the same surface
