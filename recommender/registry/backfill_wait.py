"""Waiting at a terminal until a model has embedded every photo and its snapshot can be served."""

from __future__ import annotations

import time
from collections.abc import Callable

from tqdm import tqdm

from recommender import registry
from recommender.embedding import doorbell, heartbeat
from recommender.models import EmbeddingModel

from . import Progress, RegistryError

POLL = 2.0  # seconds: counting millions of rows takes a moment
KINDS = ("embedding", "indexing")


def wait_until_ready(model: EmbeddingModel, say: Callable[[str], object]) -> None:
    """Show progress until the model can be activated; workers do the work, and go on if this is interrupted.

    Raises:
        RegistryError: what is left will not come by waiting, or somebody else activated or retired the model.
    """
    for kind in KINDS:
        if not heartbeat.is_alive(kind):
            say(f"No {kind} worker is running; the backfill waits for one.")
    with tqdm(unit=" photos", disable=None) as bar:
        while not _show(bar, progress := _progress(model)).ready:
            if is_stuck(progress):
                raise RegistryError(f"{model.version} cannot be activated: {' '.join(progress.blockers)}")
            doorbell.ring()
            time.sleep(POLL)


def is_stuck(progress: Progress) -> bool:
    """Too many photos failed for good."""
    return not progress.waiting and not progress.is_few(progress.failed)


def _progress(model: EmbeddingModel) -> Progress:
    model.refresh_from_db(fields=["state"])
    if model.state != EmbeddingModel.State.BACKFILLING:
        raise RegistryError(f"{model.version} is not being backfilled any more: it is {model.state} now.")
    return registry.progress(model)


def _show(bar: tqdm, progress: Progress) -> Progress:
    bar.total = progress.photos
    bar.update(progress.done - bar.n)
    return progress
