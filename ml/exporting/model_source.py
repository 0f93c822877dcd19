"""An embedder for whoever names a model on a command line; what must be exported first is kept between calls."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ml.folders.perceptual_hash import Hashes
from ml.folders.trained_photos import read_trained_photos
from ml.inference.embedder import Embedder
from ml.recipe import GRAPH, RECIPE, SOURCES, WEIGHTS, ModelFilesError, Recipe, file_sha256


def load_model(source: str = "starter", *, threads: int | None = None, parallel: int = 1) -> Embedder:
    """The embedder of a model directory, a weights file, `starter`, `imagenet` or `untrained`.

    Weights are exported once, below `cache_folder()`; a file that changed, or a damaged export, is exported again.

    Raises:
        MlError: the model or its weights are missing or damaged; the sentence names them.
    """
    directory = Path(source)
    is_word = source in SOURCES and not (directory / RECIPE).exists()
    if is_word or not directory.is_dir():
        directory = _export_model_if_needed(source)
    return Embedder.load(directory, threads=threads, parallel=parallel, cache_dir=cache_folder() / "compiled")


def read_trained_photos_of(source: str) -> Hashes | None:
    """uint64[N]: hashes of the photos that a model, named as for `load_model`, has learned from; None: not known.

    Raises:
        ModelFilesError: they were written down in a file that is damaged.
    """
    weights = find_weights(source)
    return None if weights is None else read_trained_photos(weights)


def find_weights(source: str) -> Path | None:
    """The weights file of a model named as for `load_model`; None where it has none here."""
    path = Path(source)
    if (path / RECIPE).exists():
        return path / WEIGHTS
    if source == "starter":
        from ml.network.weights import STARTER

        return STARTER
    return path if path.is_file() else None


def cache_folder() -> Path:
    """Where exported models are kept: ML_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ML_CACHE") or Path(base) / "marketplace-recommender")


def _export_model_if_needed(source: str) -> Path:
    from ml.network.weights import weights_name, weights_path

    from .export import build_model

    path = weights_path(source)
    mark = file_sha256(path)[:16] if path.is_file() else "fixed"
    directory = cache_folder() / f"{weights_name(source)}-{mark}"
    if not _is_complete_model(directory):
        shutil.rmtree(directory, ignore_errors=True)
        try:
            build_model(directory, weights_name(source), weights=source)
        except ModelFilesError:
            # Another process may have put the same model in place meanwhile, and then there is nothing to complain of.
            if not _is_complete_model(directory):
                raise
    return directory


def _is_complete_model(directory: Path) -> bool:
    try:
        Recipe.read(directory).verify_files(directory, GRAPH)
    except ModelFilesError:
        return False
    return True
