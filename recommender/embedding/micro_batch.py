"""One micro-batch on its way from lease to results: decoded in threads, inferred together, duplicates only once."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from django.db.models import Min

from ml.errors import cause_of
from ml.images import PhotoRefused
from recommender.models import Embedding

from . import photo_files, queue
from .photo_files import Derivatives, FileDamaged, FileLost, StorageTrouble
from .queue import Lease, Row
from .store_results import Embedded, Failed, Refused, Result

if TYPE_CHECKING:
    from ml.inference.embedder import Embedder

logger = logging.getLogger(__name__)

LOST = "The uploaded file is missing from the storage; it is looked for again later."
DAMAGED = "The stored file is not the one that was uploaded; restore it from a backup."


class ModelTrouble(Exception):
    """The model cannot compute now; no photo is at fault."""


@dataclass(frozen=True)
class Twin:
    """Another photo of the same bytes that this model has embedded."""

    vector: npt.NDArray
    derivatives: Derivatives | None


@dataclass(frozen=True)
class Prepared:
    """What decode threads made for rows of the same bytes: pixels to embed, or a vector that is known already."""

    derivatives: tuple[Derivatives | None, ...]
    pixels: npt.NDArray | None = None
    vector: npt.NDArray | None = None


class Batch:
    """Decoding starts with the object; `infer` waits for it and starts the model, `results` waits for the model."""

    def __init__(self, lease: Lease, embedder: Embedder, threads: Executor) -> None:
        self.lease = lease
        self._renewed = time.monotonic()
        self.embedder = embedder
        self._twins = find_twins(lease)
        self._jobs = [(rows, threads.submit(self._prepare, rows)) for rows in group(lease.rows)]
        self._given: list[str] = []  # checksums of what the model has, in its order
        self._inference: Future[npt.NDArray] | None = None

    @property
    def is_decoded(self) -> bool:
        """Whether `infer` would not wait."""
        return all(job.done() for _, job in self._jobs)

    @property
    def seconds_left(self) -> float:
        """Of its lease."""
        return self.lease.seconds - (time.monotonic() - self._renewed)

    @property
    def is_retry(self) -> bool:
        """Whether its row was tried before: then nothing else may be in flight with it."""
        return any(row.attempts for row in self.lease.rows)

    def infer(self) -> None:
        """Give what was decoded to the model, once.

        Raises:
            StorageTrouble: the storage failed under some photo.
        """
        if self._inference:
            return
        for _, job in self._jobs:
            if (error := job.exception()) and not isinstance(error, (PhotoRefused, FileLost, FileDamaged)):
                raise error
        pixels = {rows[0].sha256: prepared.pixels for rows, prepared in self._prepared() if prepared.pixels is not None}
        if pixels:
            logger.info("giving %d photos to the model", len(pixels))
            self._given = list(pixels)
            self._inference = self.embedder.submit(np.stack(list(pixels.values())))

    def results(self) -> list[Result]:
        """One result a row, in no particular order.

        Raises:
            StorageTrouble: files are missing and the storage itself seems to be.
            ModelTrouble: see there.
        """
        try:
            vectors = dict(zip(self._given, self._inference.result() if self._inference else (), strict=True))
        except (RuntimeError, MemoryError) as exc:  # of OpenVINO or torch: memory, a driver
            raise ModelTrouble(f"The model failed at {len(self._given)} photos: {cause_of(exc)}") from exc
        found: list[Result] = []
        for rows, prepared in self._prepared():
            vector = vectors[rows[0].sha256] if prepared.vector is None else prepared.vector
            found += (Embedded(row, vector, made) for row, made in zip(rows, prepared.derivatives, strict=True))
        return found + self._refusals()

    def keep(self) -> None:
        """Renew the lease once a quarter of it has passed."""
        if time.monotonic() - self._renewed > self.lease.seconds / 4:
            queue.renew(self.lease)
            self._renewed = time.monotonic()

    def abandon(self) -> None:
        """Give the rows back untried and leave no file."""
        wait([job for _, job in self._jobs])
        for _, prepared in self._prepared():
            photo_files.discard(prepared.derivatives)
        queue.release(self.lease)

    def unfinished(self) -> list[int]:
        """Photos still being decoded; all of them once decoding is over."""
        busy = [row.image_id for rows, job in self._jobs if not job.done() for row in rows]
        return busy or [row.image_id for row in self.lease.rows]

    def _prepared(self) -> Iterator[tuple[list[Row], Prepared]]:
        for rows, job in self._jobs:
            if job.exception() is None:
                yield rows, job.result()

    def _refusals(self) -> list[Result]:
        found: list[Result] = []
        lost: list[Row] = []
        for rows, job in self._jobs:
            match job.exception():
                case PhotoRefused() as refusal:
                    found += (Refused(row, refusal.reason) for row in rows)
                case FileDamaged():
                    found += (Failed(row, DAMAGED) for row in rows)
                case FileLost():
                    lost += rows
        if lost and not photo_files.storage_answers([row.image_id for row in lost]):
            raise StorageTrouble(f"No original photo is found, {lost[0].original} among them: is the volume mounted?")
        return found + [Failed(row, LOST) for row in lost]

    def _prepare(self, rows: Sequence[Row]) -> Prepared:
        """Runs in a decode thread, without the database."""
        twin = self._twins.get(rows[0].sha256)
        if twin and not any(row.has_vector for row in rows):
            with suppress(FileLost):
                return Prepared(_derivatives_of_twin(rows, twin), vector=twin.vector)
        picture = photo_files.load(rows[0])
        pixels = self.embedder.prepare(picture.image)
        if picture.encoded is None:
            return Prepared((None,) * len(rows), pixels)
        encoded = picture.encoded
        return Prepared(_for_each(rows, lambda: photo_files.save(encoded)), pixels)


def group(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of the same bytes together; those that have derivatives apart from those that need them."""
    groups: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.sha256, bool(row.clean)].append(row)
    return list(groups.values())


def find_twins(lease: Lease) -> dict[str, Twin]:
    """By sha256: one embedded photo for each row that never had a vector. "Embed again" is never answered by a copy."""
    asked = {row.sha256 for row in lease.rows if not row.has_vector}
    if not asked:
        return {}
    embedded = Embedding.objects.filter(
        model_id=lease.model_id, image__sha256__in=asked, state=Embedding.State.DONE, vector__isnull=False
    )
    first = embedded.values("image__sha256").annotate(first=Min("pk")).values("first")
    names = ("image__clean_file", "image__thumb_file", "image__width", "image__height")
    return {
        sha256: Twin(np.frombuffer(vector, np.float16), Derivatives(*files) if all(files) else None)
        for sha256, vector, *files in Embedding.objects.filter(pk__in=first).values_list(
            "image__sha256", "vector", *names
        )
    }


def _derivatives_of_twin(rows: Sequence[Row], twin: Twin) -> tuple[Derivatives | None, ...]:
    if all(row.clean for row in rows):
        return (None,) * len(rows)
    if twin.derivatives is None:
        raise FileLost(rows[0].original)
    source = twin.derivatives
    return _for_each(rows, lambda: photo_files.copy(source))


def _for_each(rows: Sequence[Row], make: Callable[[], Derivatives]) -> tuple[Derivatives, ...]:
    """Files of its own for every row, or for none."""
    made: list[Derivatives] = []
    try:
        while len(made) < len(rows):
            made.append(make())
    except (FileLost, StorageTrouble):
        photo_files.discard(made)
        raise
    return tuple(made)
