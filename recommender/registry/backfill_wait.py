"""Waiting at a terminal until a model has embedded every photo and its snapshot can be served."""

from __future__ import annotations

import time
from collections.abc import Callable

from tqdm import tqdm

from recommender.embedding import heartbeat
from recommender.embedding.doorbell import doorbell
from recommender.errors import RegistryError
from recommender.models import EmbeddingModel

from .backfill_progress import BackfillProgress, measure_progress

# Counting millions of rows takes a moment, and doing it more often would keep the database busy.
POLL_SECONDS = 2.0
WORKER_KINDS = ("embedding", "indexing")


def wait_until_model_ready(model: EmbeddingModel, say: Callable[[str], object]) -> None:
    """Show progress until the model can be activated; workers do the work, and go on if this is interrupted.

    Raises:
        RegistryError: what is left will not come by waiting, or somebody else activated or retired the model.
    """
    for kind in WORKER_KINDS:
        if not heartbeat.is_worker_alive(kind):
            say(f"No {kind} worker is running; the backfill waits for one.")
    with tqdm(unit=" photos", disable=None) as bar:
        while True:
            progress = _measure_backfill(model)
            bar.total = progress.photos
            bar.update(progress.done - bar.n)
            if progress.ready:
                return
            if is_backfill_stuck(progress):
                raise RegistryError(f"{model.version} cannot be activated: {' '.join(progress.blockers)}")
            # The periodic sweep wakes the embedding workers only every few seconds; waking them here too spares a
            # worker that missed its message the wait.
            doorbell.ring()
            time.sleep(POLL_SECONDS)


def is_backfill_stuck(progress: BackfillProgress) -> bool:
    """Whether nothing is left to do, and yet too many photos have no vector."""
    return not progress.waiting and progress.failed > progress.max_photos_without_vector


def _measure_backfill(model: EmbeddingModel) -> BackfillProgress:
    model.refresh_from_db(fields=["state"])
    if model.state != EmbeddingModel.State.BACKFILLING:
        raise RegistryError(f"{model.version} is not being backfilled any more: it is {model.state} now.")
    return measure_progress(model)
