"""Add a model: export its weights or its encoder, and store a row with the checksum of what was exported."""

from __future__ import annotations

import logging
import re
from contextlib import nullcontext
from pathlib import Path

from django.conf import settings

from ml.errors import MlError
from ml.recipe import ModelFilesError, Recipe
from recommender.embedding.model_files import ModelSource, export_model, require_allowed_weights
from recommender.errors import ModelNotReady, RegistryError
from recommender.models import EmbeddingModel

from .calibration import calibrate, needs_calibration
from .evaluation import REPORTS_SUFFIX
from .precision_photos import copy_precision_photos

logger = logging.getLogger(__name__)

# A version also names the model's directory, so it may hold no slash and begin with no dot.
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def register(version: str, weights: str, *, size: int | None = None, photos: Path | None = None) -> EmbeddingModel:
    """Export `weights`, a word or a file, below MODELS_ROOT and add the candidate; see `register_source`."""
    return register_source(version, ModelSource(weights=weights, size=size), photos=photos)


def register_source(version: str, source: ModelSource, *, photos: Path | None = None) -> EmbeddingModel:
    """Export weights or an encoder below MODELS_ROOT and add the candidate.

    The export of a word is taken as it is where there is one already. The precision is chosen on `photos`, a folder,
    else on the site's own where there are enough. What its cosines mean is fitted (`calibration`).
    Raises:
        RegistryError: the source is not allowed or cannot be had, the version is no name or exists with another, or
            `photos` come too late, because the version's precision was chosen before.
    """
    require_allowed_weights(source.weights)
    _require_valid_name(version)
    directory = settings.MODELS_ROOT / version
    if directory.exists():
        _require_reusable_export(directory, source, photos)
    else:
        with copy_precision_photos() if photos is None else nullcontext(photos) as folder:
            export_model(directory, version, source, folder)
    model = _find_or_add_row(_read_matching_recipe(directory, version, source))
    if needs_calibration(model):
        _calibrate_or_explain(model)
    return model


def _calibrate_or_explain(model: EmbeddingModel) -> None:
    """Calibrate what is registered by now, whatever comes of it."""
    try:
        calibrate(model)
    except (MlError, ModelNotReady) as exc:
        logger.warning("%s is not calibrated, and cannot replace another model before that: %s", model.version, exc)


def _require_valid_name(version: str) -> None:
    if not VERSION.fullmatch(version):
        raise RegistryError(
            f"'{version}' cannot name a model; choose 1 to 64 letters, digits, dots, hyphens or underscores."
        )
    if version.endswith(REPORTS_SUFFIX):
        raise RegistryError(
            f"'{version}' cannot name a model, because reports on a model are kept in folders that end in "
            f"{REPORTS_SUFFIX}; choose another name."
        )


def _require_reusable_export(directory: Path, source: ModelSource, photos: Path | None) -> None:
    if not source.is_word:
        raise RegistryError(
            f"There is a model {directory.name} already, and models are never replaced; choose another name."
        )
    if photos is not None:
        raise RegistryError(
            f"{directory} was exported before, and its precision chosen then; to choose it on {photos}, register "
            "the weights under another version."
        )


def _read_matching_recipe(directory: Path, version: str, source: ModelSource) -> Recipe:
    """The recipe in the directory. Raises RegistryError unless it is of this version, this source and this size."""
    try:
        recipe = Recipe.read(directory)
    except ModelFilesError as exc:
        raise RegistryError(str(exc)) from exc
    if (recipe.version, recipe.weights) != (version, source.name) or source.size not in (None, recipe.size):
        raise RegistryError(
            f"{directory} holds {recipe.weights} weights of version {recipe.version} at {recipe.size} px; "
            "choose another name."
        )
    return recipe


def _find_or_add_row(recipe: Recipe) -> EmbeddingModel:
    model, created = EmbeddingModel.objects.get_or_create(
        version=recipe.version,
        defaults={
            "arch": recipe.arch,
            "dim": recipe.dim,
            "recipe": recipe.as_dict(),
            "checkpoint": recipe.version,
            "sha256": recipe.sha256,
        },
    )
    if not created and model.sha256 != recipe.sha256:
        raise RegistryError(f"Model {recipe.version} is registered with other weights (sha256 {model.sha256[:12]}…).")
    return model
