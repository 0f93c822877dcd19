"""What a worker embeds with: torch where there is a GPU, OpenVINO elsewhere. No other process may load torch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, cast

from django.conf import settings

from ml.errors import cause_of
from ml.inference.cores import has_gpu
from ml.recipe import ModelFilesError
from recommender import registry
from recommender.models import EmbeddingModel

if TYPE_CHECKING:
    from ml.inference.embedder import Embedder

logger = logging.getLogger(__name__)


def load(model: EmbeddingModel) -> Embedder:
    """As `registry.load_or_build`."""
    return registry.load_or_build(model, read=read)


def read(directory: Path) -> Embedder:
    """The model in `directory`; on OpenVINO too where torch cannot load it and was not asked for by name."""
    if settings.EMBED_RUNTIME == "torch":
        return _with_torch(directory, None)
    if not settings.EMBED_RUNTIME and has_gpu():
        try:
            return _with_torch(directory, "cuda")
        except ModelFilesError as exc:
            logger.warning("Photos are embedded on the processor. %s", exc)
    return registry.read_for_many(directory)


def _with_torch(directory: Path, device: str | None) -> Embedder:
    try:
        from ml.inference.torch_embedder import TorchEmbedder

        embedder = TorchEmbedder.load(directory, device=device)
    except (ImportError, OSError, RuntimeError) as exc:  # of the installation, or of the driver
        raise ModelFilesError(
            f"torch cannot run {directory} here; set EMBED_RUNTIME=openvino. {cause_of(exc)}"
        ) from exc
    return cast("Embedder", embedder)  # the same surface
