"""Which models there are, which one is active, and their loading: once a process, on first use, so after any fork.

Exporting needs torch, which web processes never load; it runs as a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ml.recipe import ModelFilesError, Recipe

from .models import Embedding, EmbeddingModel, IndexHead, IndexSnapshot

if TYPE_CHECKING:
    from ml.embedder import Embedder

State = EmbeddingModel.State

UNTRAINED = "untrained"
EXPORT_SECONDS = 900

_loaded: dict[tuple[int, str], Embedder] = {}
_lock = threading.Lock()


class ModelNotReady(Exception):
    """A model cannot be used in this process now; the message says why and what to do."""


class RegistryError(Exception):
    """A model cannot be registered or activated; the message says why and what to do."""


def active_model() -> EmbeddingModel | None:
    return EmbeddingModel.objects.filter(state=State.ACTIVE).first()


def directory_of(model: EmbeddingModel) -> Path:
    return settings.MODELS_ROOT / model.checkpoint


def load_embedder(model: EmbeddingModel) -> Embedder:
    """The model, verified against its row.

    Raises:
        ModelNotReady: its files are missing, damaged or not the row's, or it is untrained and that is not allowed.
    """
    with _lock:
        key = (model.pk, model.sha256)
        if key not in _loaded:
            _loaded[key] = _load(model)
        return _loaded[key]


def load_or_build(model: EmbeddingModel) -> Embedder:
    """As `load_embedder`, for workers: untrained weights that are missing on this host are made again."""
    directory = directory_of(model)
    if is_untrained(model) and not directory.exists():
        try:
            require_allowed(UNTRAINED)
            _export(directory, model.version, UNTRAINED)
        except RegistryError as exc:
            raise ModelNotReady(str(exc)) from exc
    return load_embedder(model)


def register(version: str, weights: str) -> EmbeddingModel:
    """Export `weights` below MODELS_ROOT and add the candidate; an export that is there already is taken as it is.

    Raises:
        RegistryError: the weights are not allowed or cannot be had, or the version exists with others.
    """
    require_allowed(weights)
    directory = settings.MODELS_ROOT / version
    if not directory.exists():
        _export(directory, version, weights)
    try:
        recipe = Recipe.read(directory)
    except ModelFilesError as exc:
        raise RegistryError(str(exc)) from exc
    if (recipe.version, recipe.weights) != (version, weights):
        raise RegistryError(
            f"{directory} holds {recipe.weights} weights of version {recipe.version}; choose another name."
        )
    model, created = EmbeddingModel.objects.get_or_create(
        version=version,
        defaults={
            "arch": recipe.arch,
            "dim": recipe.dim,
            "recipe": recipe.as_dict(),
            "checkpoint": version,
            "sha256": recipe.sha256,
        },
    )
    if not created and model.sha256 != recipe.sha256:
        raise RegistryError(f"Model {version} is registered with other weights (sha256 {model.sha256[:12]}…).")
    return model


def backfill(model: EmbeddingModel) -> None:
    """Let workers embed every photo with a candidate; the sweep queues them."""
    changed = EmbeddingModel.objects.filter(pk=model.pk, state=State.CANDIDATE).update(state=State.BACKFILLING)
    if not changed:
        raise RegistryError(f"Only a candidate can be backfilled; {model.version} is {model.state}.")


@transaction.atomic
def activate(model: EmbeddingModel) -> None:
    """Answer with this model from now on, in one transaction with its snapshot; the one before stays on standby.

    Raises:
        RegistryError: photos are not embedded by it yet; uploads in flight count.
    """
    from .sweep import insert_missing

    head = IndexHead.objects.select_for_update().get(pk=1)
    model = EmbeddingModel.objects.select_for_update().get(pk=model.pk)
    before = active_model()
    if model == before:
        return
    if before:
        _refuse_gaps(model, missing=insert_missing(model))
        EmbeddingModel.objects.filter(pk=before.pk).update(state=State.STANDBY)
    EmbeddingModel.objects.filter(pk=model.pk).update(state=State.ACTIVE, activated_at=timezone.now())
    snapshots = IndexSnapshot.objects.filter(model=model, state=IndexSnapshot.State.PUBLISHED)
    head.snapshot = snapshots.order_by("-pk").first()
    head.save(update_fields=["snapshot"])


def is_untrained(model: EmbeddingModel) -> bool:
    return model.recipe.get("weights") == UNTRAINED


def require_allowed(weights: str) -> None:
    if weights == UNTRAINED and settings.EMBEDDER_WEIGHTS != UNTRAINED:
        raise RegistryError(
            "Untrained weights give answers without meaning; set EMBEDDER_WEIGHTS=untrained to use them nevertheless."
        )


def _refuse_gaps(model: EmbeddingModel, missing: int) -> None:
    if model.state not in (State.BACKFILLING, State.STANDBY):
        raise RegistryError(
            f"{model.version} is {model.state}; run `manage.py models backfill {model.version}` first, "
            "so that it has embedded every photo before it answers."
        )
    settled = (Embedding.State.DONE, Embedding.State.REJECTED)
    open_rows = Embedding.objects.filter(model=model, vector__isnull=True).exclude(state__in=settled).count()
    if missing or open_rows:
        raise RegistryError(f"{open_rows} photos are not embedded by {model.version} yet; try again when they are.")


def _load(model: EmbeddingModel) -> Embedder:
    from ml.embedder import Embedder

    directory = directory_of(model)
    try:
        if is_untrained(model):
            require_allowed(UNTRAINED)
        found = Recipe.read(directory).sha256
        if found != model.sha256:
            raise ModelNotReady(f"{directory} holds other weights than model {model.version} was registered with.")
        return Embedder.load(directory, cache_dir=settings.EMBEDDER_CACHE)
    except (RegistryError, ModelFilesError) as exc:
        raise ModelNotReady(str(exc)) from exc


def _export(directory: Path, version: str, weights: str) -> None:
    command = [
        sys.executable,
        "-m",
        "ml",
        "export",
        "--weights",
        weights,
        "--version",
        version,
        "--out",
        str(directory),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=EXPORT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise RegistryError(f"Exporting {version} took longer than {EXPORT_SECONDS} s.") from exc
    if done.returncode and not directory.exists():  # another worker may have been first
        raise RegistryError(f"Model {version} cannot be exported. {done.stderr.strip()[-500:]}")
