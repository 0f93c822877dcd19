"""What a worker embeds with: torch where there is a GPU, OpenVINO elsewhere. No other process may load torch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, cast

from django.conf import settings

from ml.errors import find_cause_line
from ml.inference.cores import has_gpu_driver
from ml.recipe import ModelFilesError, Recipe
from recommender.embedding.embedder_cache import LoadPolicy, open_high_throughput_embedder

if TYPE_CHECKING:
    from ml.inference.embedder import Embedder

logger = logging.getLogger(__name__)


def open_embedder(directory: Path) -> Embedder:
    """Compile the model in `directory` for torch or OpenVINO.

    OpenVINO is taken too where there is a GPU that torch cannot use, unless torch was asked for by name, and for
    models made of somebody else's graph, which torch cannot compute.
    """
    if not Recipe.read(directory).has_weights:
        return open_high_throughput_embedder(directory)
    if settings.EMBED_RUNTIME == "torch":
        return _open_torch_embedder(directory, None)
    if not settings.EMBED_RUNTIME and has_gpu_driver():
        try:
            return _open_torch_embedder(directory, "cuda")
        except ModelFilesError as exc:
            logger.warning("Photos are embedded on the processor. %s", exc)
    return open_high_throughput_embedder(directory)


WORKER_POLICY = LoadPolicy(open_embedder, exports_missing=True)


def _open_torch_embedder(directory: Path, device: str | None) -> Embedder:
    try:
        from ml.inference.torch_embedder import TorchEmbedder

        embedder = TorchEmbedder.load(directory, device=device)
    except (ImportError, OSError, RuntimeError) as exc:  # torch may be missing or broken, and so may the driver
        raise ModelFilesError(
            f"torch cannot run {directory} here; set EMBED_RUNTIME=openvino. {find_cause_line(exc)}"
        ) from exc
    return cast("Embedder", embedder)  # callers use only what both kinds of embedder have
