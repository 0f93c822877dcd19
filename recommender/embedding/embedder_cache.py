"""Loading models. `EmbedderCache.load_embedder` is the only way from a registered model to its embedder.

Each model is loaded once in a process, on first use. A forked child loads its own: the threads of its parent's
embedders are not there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from ml.inference.cores import choose_stream_count
from ml.per_process import PerProcess
from ml.recipe import ModelFilesError, Recipe
from recommender.errors import ModelNotReady, RegistryError
from recommender.models import UNTRAINED, EmbeddingModel

from .model_files import ModelSource, export_model

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


def open_low_latency_embedder(directory: Path) -> Embedder:
    """Compile the model for one inference at a time on all cores, because a visitor waits for it."""
    return _open_openvino_embedder(directory, 1)


def open_high_throughput_embedder(directory: Path) -> Embedder:
    """Compile the model for several inferences at a time, which embeds most photos a second."""
    return _open_openvino_embedder(directory, choose_stream_count())


def _open_openvino_embedder(directory: Path, parallel: int) -> Embedder:
    from ml.inference.embedder import Embedder

    return Embedder.load(directory, parallel=parallel, cache_dir=settings.EMBEDDER_CACHE)


WEB_POLICY = LoadPolicy(open_low_latency_embedder)
COMMAND_POLICY = LoadPolicy(open_high_throughput_embedder, exports_missing=True)


@dataclass
class _Loaded:
    """Embedders by the model's id and sha256, and the lock of whoever loads the next one."""

    embedders: dict[tuple[int, str], Embedder] = field(default_factory=dict)
    loading: threading.Lock = field(default_factory=threading.Lock)


class EmbedderCache:
    """The models that one process has loaded, and the policy it loads them by."""

    def __init__(self, policy: LoadPolicy = WEB_POLICY) -> None:
        self._policy = policy
        self._loaded = PerProcess(_Loaded)

    def load_embedder(self, model: EmbeddingModel) -> Embedder:
        """The model's embedder, verified against the model's row.

        Raises:
            ModelNotReady: its files are missing, damaged or not the row's.
        """
        key = (model.pk, model.sha256)
        loaded = self._loaded.get()
        embedder = loaded.embedders.get(key)
        if embedder is None:
            # Loading takes seconds, in which those who want a model that is loaded must not wait: they need no lock.
            with loaded.loading:
                # Whoever held the lock before may have loaded this very model.
                embedder = loaded.embedders.get(key)
                if embedder is None:
                    embedder = self.open_verified_embedder(model)
                    self.evict_retired_models()
                    loaded.embedders[key] = embedder
        return embedder

    def is_loaded(self, model_id: int) -> bool:
        """Whether this process has embedded, or was about to embed, with this model."""
        return any(loaded_id == model_id for loaded_id, _ in list(self._loaded.get().embedders))

    def evict_retired_models(self) -> None:
        """Free the memory of retired models. Those on standby are kept, because they may come back at once."""
        if not self._loaded.get().embedders:
            return
        for model_id in EmbeddingModel.objects.filter(state=EmbeddingModel.State.RETIRED).values_list("pk", flat=True):
            self.evict_model(model_id)

    def evict_model(self, model_id: int) -> None:
        embedders = self._loaded.get().embedders
        # A copy of the keys, because another thread may add a model meanwhile.
        for key in list(embedders):
            if key[0] == model_id:
                embedders.pop(key, None)

    def evict_all(self) -> None:
        self._loaded.forget()

    def open_verified_embedder(self, model: EmbeddingModel) -> Embedder:
        """What `load_embedder` does once for a model: make or find its files, compare them with the row, compile."""
        directory = model.directory
        try:
            if self._policy.exports_missing and model.is_untrained and not directory.exists():
                export_model(directory, model.version, ModelSource(weights=UNTRAINED))
            if Recipe.read(directory).sha256 != model.sha256:
                raise ModelNotReady(f"{directory} holds other weights than model {model.version} was registered with.")
            return self._policy.open_directory(directory)
        except (RegistryError, ModelFilesError) as exc:
            raise ModelNotReady(str(exc)) from exc


embedders = EmbedderCache()  # for processes that answer visitors; workers have caches of their own, for throughput
