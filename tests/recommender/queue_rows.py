"""Rows for tests of the queue: models and photos, and what became of them."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.db import connection
from django.utils import timezone

from listings.models import Listing, ListingImage, originals_storage
from recommender.embedding import lease_ends, queue
from recommender.embedding.lease_holders import LeaseHolder
from recommender.embedding.queue import State
from recommender.embedding.store_results import Embedded, Tally
from recommender.embedding.worker_loop import WorkerLoop
from recommender.models import Embedding, EmbeddingModel
from tests.factories import make_image, make_listing
from tests.fakes import FakeCache, FakeEmbedder
from tests.recommender.registered import store_curve

ROOT = Path(__file__).resolve().parents[2]

_serial = itertools.count(1)


def make_model(state: str = "active", dim: int = FakeEmbedder().dim, **fields: Any) -> EmbeddingModel:
    version, calibrated = fields.pop("version", f"model{next(_serial)}"), fields.pop("calibrated", True)
    model = EmbeddingModel.objects.create(
        version=version, arch="fake", dim=dim, checkpoint=version, sha256="0" * 64, state=state, **fields
    )
    if calibrated:
        store_curve(model)
    return model


def make_photos(number: int, *, listing: Listing | None = None, **fields: Any) -> list[ListingImage]:
    """Photos of different bytes, each in the queue of every live model."""
    listing = listing or make_listing()
    return [make_image(listing, **fields) for _ in range(number)]


def bulk_photos(number: int, *, source: str = ListingImage.Source.IMPORT) -> list[ListingImage]:
    """Rows without files: enough wherever nothing is decoded."""
    listing = make_listing()
    return ListingImage.objects.bulk_create(
        [
            ListingImage(listing=listing, original=f"none/{i}.jpg", sha256=f"{i:064x}", source=source)
            for i in range(number)
        ],
        batch_size=500,
    )


def loop_with(embedder: FakeEmbedder, holder: LeaseHolder | None = None) -> WorkerLoop:
    """A worker loop, as of a process that just started, whose models are all this embedder."""
    return WorkerLoop(FakeCache(lambda model: embedder), holder)


def embed(embedder: FakeEmbedder | None = None, seconds: float = 30) -> Tally:
    """Embed what the queue holds in this process, as one that just started, with the fake embedder."""
    return loop_with(embedder or FakeEmbedder()).run_slice(seconds)


def vector(dim: int = 48, at: int = 0) -> npt.NDArray[np.float32]:
    """A unit vector along one axis."""
    unit = np.zeros(dim, np.float32)
    unit[at] = 1
    return unit


def embedded(lease: queue.Lease) -> list[Embedded]:
    """A result for each row of a lease, as a model would give them."""
    return [Embedded(row, vector()) for row in lease.rows]


def expire() -> None:
    """Let every lease run out, and return what was leased."""
    Embedding.objects.filter(state=State.LEASED).update(leased_until=timezone.now() - timedelta(seconds=1))
    lease_ends.requeue_or_give_up_ended_rows()


def original_of(photo: ListingImage) -> Path:
    """The uploaded file."""
    return Path(originals_storage().path(photo.original.name))


def at_once(work: Callable[[], None], number: int = 6) -> None:
    """Run `work` in as many threads, and wait for all of them; each closes its own connection."""
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def states() -> dict[str, int]:
    """How many embedding rows are in each state."""
    counts: dict[str, int] = {}
    for state in Embedding.objects.values_list("state", flat=True):
        counts[state] = counts.get(state, 0) + 1
    return counts


def media_files() -> set[str]:
    """Every file below MEDIA_ROOT, as storage names."""
    root = settings.MEDIA_ROOT
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def named_files() -> set[str]:
    """Every derivative that a photo row names."""
    names = ListingImage.objects.values_list("clean_file", "thumb_file")
    return {name for pair in names for name in pair if name}


def environment(**extra: str) -> dict[str, str]:
    """The environment of a process that works on this test's database, files and broker."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        url = f"sqlite:///{quote(name)}"
    else:
        url = urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}").geturl()
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "marketplace.settings", "DATABASE_URL": url, **extra}
