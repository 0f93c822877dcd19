"""Loading models: once a process, on first use, so after any fork.

Exporting needs torch, which web processes never load; it runs as a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from ml.inference.cores import streams
from ml.recipe import ModelFilesError, Recipe
from recommender.errors import ModelNotReady, RegistryError
from recommender.models import EmbeddingModel

if TYPE_CHECKING:
    from ml.inference.embedder import Embedder

    Read = Callable[[Path], Embedder]

UNTRAINED = "untrained"
EXPORT_SECONDS = 900

_loaded: dict[tuple[int, str], Embedder] = {}
_loading = threading.Lock()


def directory_of(model: EmbeddingModel) -> Path:
    return settings.MODELS_ROOT / model.checkpoint


def is_untrained(model: EmbeddingModel) -> bool:
    return model.recipe.get("weights") == UNTRAINED


def require_allowed(weights: str) -> None:
    """Refuse to register random weights unasked; a model that is registered was asked for, and works until it goes."""
    if weights == UNTRAINED and settings.EMBEDDER_WEIGHTS != UNTRAINED:
        raise RegistryError(
            "Untrained weights give answers without meaning; set EMBEDDER_WEIGHTS=untrained to use them nevertheless."
        )


def read_for_answers(directory: Path) -> Embedder:
    """One inference at a time, on all cores: a visitor waits for it."""
    return _read(directory, 1)


def read_for_many(directory: Path) -> Embedder:
    """Several inferences at a time: most photos a second."""
    return _read(directory, streams())


def load_embedder(model: EmbeddingModel, *, read: Read = read_for_answers) -> Embedder:
    """The model, verified against its row. While one is being loaded, those loaded before stay within reach.

    `read` loads its directory on a process's first call.

    Raises:
        ModelNotReady: its files are missing, damaged or not the row's.
    """
    key = (model.pk, model.sha256)
    embedder = _loaded.get(key)
    if embedder is None:
        with _loading:
            embedder = _loaded.get(key)
            if embedder is None:
                embedder = _load(model, read)
                forget_retired()
                _loaded[key] = embedder
    return embedder


def forget_retired() -> None:
    """Free the memory of models that nobody embeds with any more; those on standby may come back at once."""
    if not _loaded:
        return
    retired = set(EmbeddingModel.objects.filter(state=EmbeddingModel.State.RETIRED).values_list("pk", flat=True))
    for key in list(_loaded):
        if key[0] in retired:
            _loaded.pop(key, None)


def load_or_build(model: EmbeddingModel, *, read: Read = read_for_many) -> Embedder:
    """As `load_embedder`, for workers: untrained weights that are missing on this host are made again."""
    directory = directory_of(model)
    if is_untrained(model) and not directory.exists():
        try:
            export(directory, model.version, UNTRAINED)
        except RegistryError as exc:
            raise ModelNotReady(str(exc)) from exc
    return load_embedder(model, read=read)


def is_loaded(model_id: int) -> bool:
    """Whether this process has embedded, or was about to embed, with this model."""
    return any(loaded == model_id for loaded, _ in list(_loaded))


def export(directory: Path, version: str, weights: str, size: int | None = None, photos: Path | None = None) -> None:
    """Write a model directory, its precision chosen on `photos`. Raises: RegistryError with the exporter's sentence."""
    command = [sys.executable, "-m", "ml", "export", "--weights", weights, "--version", version]
    options = {"--out": directory, "--size": size, "--photos": photos and photos.absolute()}
    command += [str(part) for option, value in options.items() if value is not None for part in (option, value)]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=EXPORT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise RegistryError(f"Exporting {version} took longer than {EXPORT_SECONDS} s.") from exc
    if done.returncode and not directory.exists():  # another worker may have been first
        raise RegistryError(f"Model {version} cannot be exported. {done.stderr.strip()[-500:]}")


def _load(model: EmbeddingModel, read: Read) -> Embedder:
    directory = directory_of(model)
    try:
        found = Recipe.read(directory).sha256
        if found != model.sha256:
            raise ModelNotReady(f"{directory} holds other weights than model {model.version} was registered with.")
        return read(directory)
    except ModelFilesError as exc:
        raise ModelNotReady(str(exc)) from exc


def _read(directory: Path, parallel: int) -> Embedder:
    from ml.inference.embedder import Embedder

    return Embedder.load(directory, parallel=parallel, cache_dir=settings.EMBEDDER_CACHE)
