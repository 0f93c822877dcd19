"""Loading models. `EmbedderCache.load_embedder` is the only way from a registered model to its embedder.

Each model is loaded once in a process, on first use, so after any fork.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from ml.inference.cores import streams
from ml.recipe import ModelFilesError, Recipe
from recommender.errors import ModelNotReady, RegistryError
from recommender.models import EmbeddingModel

from .model_files import UNTRAINED, export_model, is_untrained, model_directory

if TYPE_CHECKING:
    from ml.inference.embedder import Embedder


@dataclass(frozen=True)
class LoadPolicy:
    """How one kind of process loads models.

    `open_directory` compiles the model of a directory whose weights were found to be the registered ones. Untrained
    weights are the same on every host, so `exports_missing` lets a process make them where they are missing.
    """

    open_directory: Callable[[Path], Embedder]
    exports_missing: bool = False


def open_for_answers(directory: Path) -> Embedder:
    """Compile the model for one inference at a time on all cores, because a visitor waits for it."""
    return _open_with_openvino(directory, 1)


def open_for_many(directory: Path) -> Embedder:
    """Compile the model for several inferences at a time, which embeds most photos a second."""
    return _open_with_openvino(directory, streams())


def _open_with_openvino(directory: Path, parallel: int) -> Embedder:
    from ml.inference.embedder import Embedder

    return Embedder.load(directory, parallel=parallel, cache_dir=settings.EMBEDDER_CACHE)


WEB_POLICY = LoadPolicy(open_for_answers)
COMMAND_POLICY = LoadPolicy(open_for_many, exports_missing=True)


class EmbedderCache:
    """The models that one process has loaded, and the policy it loads them by."""

    def __init__(self, policy: LoadPolicy = WEB_POLICY) -> None:
        self._policy = policy
        self._embedders: dict[tuple[int, str], Embedder] = {}
        self._loading = threading.Lock()

    def load_embedder(self, model: EmbeddingModel) -> Embedder:
        """The model's embedder, verified against the model's row.

        Raises:
            ModelNotReady: its files are missing, damaged or not the row's.
        """
        key = (model.pk, model.sha256)
        embedder = self._embedders.get(key)
        if embedder is None:
            # Only those who wait for a new model wait for the lock: loaded ones were found above without it.
            with self._loading:
                embedder = self._embedders.get(key)
                if embedder is None:
                    embedder = self._open_verified(model)
                    self.forget_retired()
                    self._embedders[key] = embedder
        return embedder

    def is_loaded(self, model_id: int) -> bool:
        """Whether this process has embedded, or was about to embed, with this model."""
        return any(loaded == model_id for loaded, _ in list(self._embedders))

    def forget_retired(self) -> None:
        """Free the memory of retired models. Those on standby are kept, because they may come back at once."""
        if not self._embedders:
            return
        for model_id in EmbeddingModel.objects.filter(state=EmbeddingModel.State.RETIRED).values_list("pk", flat=True):
            self.forget(model_id)

    def forget(self, model_id: int) -> None:
        for key in list(self._embedders):
            if key[0] == model_id:
                self._embedders.pop(key, None)

    def clear(self) -> None:
        self._embedders.clear()

    def _open_verified(self, model: EmbeddingModel) -> Embedder:
        directory = model_directory(model)
        try:
            if self._policy.exports_missing and is_untrained(model) and not directory.exists():
                export_model(directory, model.version, UNTRAINED)
            if Recipe.read(directory).sha256 != model.sha256:
                raise ModelNotReady(f"{directory} holds other weights than model {model.version} was registered with.")
            return self._policy.open_directory(directory)
        except (RegistryError, ModelFilesError) as exc:
            raise ModelNotReady(str(exc)) from exc


embedders = EmbedderCache()  # of a process that answers visitors; a worker makes its own, with its own policy
