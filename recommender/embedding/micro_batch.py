"""One micro-batch on its way from lease to results: decoded in threads, inferred together, duplicates only once."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from django.db.models import Min
from numpy.typing import NDArray

from ml.catalogue.counts import describe_count
from ml.errors import find_cause_line
from ml.images import PhotoRefused
from recommender.models import Embedding

from . import photo_files, queue
from .photo_files import Derivatives, FileDamaged, FileLost, NotDecoded, StorageTrouble, TakesLong
from .queue import Lease, Row
from .store_results import Embedded, Failed, Refused, Result

if TYPE_CHECKING:
    from ml.inference.embedder import Embedder

logger = logging.getLogger(__name__)

LOST = "The uploaded file is missing from the storage; it is looked for again later."
NO_TIME = "This machine had no time to decode the photo; it is tried again later."
# Who saves a photo while only slow ones are being decoded waits for so long.
LOOK_SECONDS = 0.1
DAMAGED = "The stored file is not the one that was uploaded; restore it from a backup."


class ModelTrouble(Exception):
    """The model cannot compute now; no photo is at fault."""


class Activity:
    """What a worker does now: written by its loop, read by the watchdog and by the heartbeat on their threads."""

    def __init__(self) -> None:
        # One attribute holds both values, so that a reader on another thread never sees parts of two micro-batches.
        self._current: tuple[float, Callable[[], Sequence[int]]] | None = None
        self.note = ""

    def begin_batch(self, seconds: float, list_photos: Callable[[], Sequence[int]]) -> None:
        """A micro-batch has `seconds` from now; `list_photos` names the photos it still waits for."""
        self._current = (seconds, list_photos)

    def go_on_with(self, seconds: float, list_photos: Callable[[], Sequence[int]]) -> None:
        """Begin, unless this is what the worker does already: then its time goes on."""
        if self._current is None or self._current[1] != list_photos:
            self.begin_batch(seconds, list_photos)

    def end_batch(self) -> None:
        self._current = None

    @property
    def current_limit_and_photos(self) -> tuple[float, Callable[[], Sequence[int]]] | None:
        return self._current

    def describe(self) -> dict[str, object]:
        return {"doing": "embedding" if self._current else "waiting", "note": self.note}


@dataclass(frozen=True)
class Duplicate:
    """Another photo of the same bytes that this model has embedded."""

    vector: NDArray[np.float16]
    derivatives: Derivatives | None


@dataclass(frozen=True)
class Prepared:
    """What a decode thread made for rows of the same bytes: pixels to embed, or a vector that is known already."""

    derivatives: tuple[Derivatives | None, ...]
    pixels: NDArray[np.uint8] | None = None
    vector: NDArray[np.float16] | None = None


class Batch:
    """Decoding starts when the object is made, in `threads`; the model starts with `start_inference`."""

    def __init__(self, lease: Lease, embedder: Embedder, threads: Executor, *, is_patient: bool = True) -> None:
        self._is_patient = is_patient
        self._renewed = time.monotonic()  # taken before the query below, because the lease is running already
        self.lease = lease
        self.embedder = embedder
        self._duplicates = find_duplicates(lease)
        self._jobs = [
            (rows, threads.submit(self._prepare_group, rows))
            for rows in group_rows_by_bytes_and_derivatives(lease.rows)
        ]
        self._given: list[str] = []  # checksums in the order of the pictures, in which the model returns their vectors
        self._inference: Future[NDArray[np.float32]] | None = None

    @property
    def is_decoded(self) -> bool:
        """Whether `start_inference` would not wait."""
        return all(job.done() for _, job in self._jobs)

    def iterate_decoding(self) -> Iterator[None]:
        """Wait for all photos to be decoded, and yield after each."""
        for _ in as_completed([job for _, job in self._jobs]):
            yield

    def set_slow_apart(self) -> list[Lease]:
        """Let go of the photos that take long to decode, once the others are decoded. Returns a lease of each."""
        slow = [rows for rows, job in self._jobs if isinstance(job.exception(), TakesLong)]
        if not slow:
            return []
        apart = {row.pk for rows in slow for row in rows}
        self._jobs = [(rows, job) for rows, job in self._jobs if rows[0].pk not in apart]
        leases = [self.lease.keep_rows(rows) for rows in slow]
        self.lease = self.lease.keep_rows(row for row in self.lease.rows if row.pk not in apart)
        return leases

    def cancel_decoding(self) -> bool:
        """Whether none of its photos is being decoded now, or will be."""
        cancelled = [job.cancel() for _, job in self._jobs]
        return all(cancelled)

    @property
    def seconds_left(self) -> float:
        """What is left of its lease."""
        return self.lease.seconds - (time.monotonic() - self._renewed)

    @property
    def is_retry(self) -> bool:
        """Whether its only row was tried before: then nothing else may be in flight with it."""
        return any(row.attempts for row in self.lease.rows)

    def start_inference(self) -> None:
        """Wait for decoding, then give all pictures to the model; once, however often it is called.

        Raises:
            StorageTrouble: the storage failed under some photo.
        """
        if self._inference:
            return
        for _, job in self._jobs:
            if (error := job.exception()) and not isinstance(error, (PhotoRefused, FileLost, FileDamaged, NotDecoded)):
                raise error
        pixels = {
            rows[0].sha256: prepared.pixels for rows, prepared in self._decoded_groups() if prepared.pixels is not None
        }
        if pixels:
            logger.info("giving %d photos to the model", len(pixels))
            self._given = list(pixels)
            self._inference = self.embedder.submit(np.stack(list(pixels.values())))

    def wait_for_results(self) -> list[Result]:
        """Wait for the model. Returns one result for each row, in no particular order.

        Raises:
            StorageTrouble: files are missing, and the storage itself seems to be missing too.
            ModelTrouble: see there.
        """
        try:
            vectors = dict(zip(self._given, self._inference.result() if self._inference else (), strict=True))
        except (RuntimeError, MemoryError) as exc:  # memory or a driver is to blame, and no photo
            photos = describe_count(len(self._given), "photo")
            raise ModelTrouble(f"The model failed at {photos}: {find_cause_line(exc)}") from exc
        found: list[Result] = []
        for rows, prepared in self._decoded_groups():
            vector = vectors[rows[0].sha256] if prepared.vector is None else prepared.vector
            found += (Embedded(row, vector, made) for row, made in zip(rows, prepared.derivatives, strict=True))
        return found + self._list_unembedded_results()

    def renew_lease_if_due(self) -> None:
        """Start the lease's time again, if a quarter of it has passed."""
        if time.monotonic() - self._renewed > self.lease.seconds / 4:
            queue.renew_lease(self.lease)
            self._renewed = time.monotonic()

    def discard_files(self) -> None:
        """Decode no more of it, and leave no file of what was not stored."""
        # A photo that is still being decoded would store its files after the others were removed. Those that wait for a
        # thread are taken off, because it may be another micro-batch's photo that keeps the thread.
        wait([job for _, job in self._jobs if not job.cancel()])
        for _, prepared in self._decoded_groups():
            photo_files.discard_derivatives(prepared.derivatives)

    def list_unfinished_photos(self) -> list[int]:
        """The photos that are still being decoded; all of them once decoding is over."""
        busy = [row.image_id for rows, job in self._jobs if not job.done() for row in rows]
        return busy or [row.image_id for row in self.lease.rows]

    def _decoded_groups(self) -> Iterator[tuple[list[Row], Prepared]]:
        """Wait for decoding, and pass over what was refused or lost."""
        for rows, job in self._jobs:
            if not job.cancelled() and job.exception() is None:
                yield rows, job.result()

    def _list_unembedded_results(self) -> list[Result]:
        found: list[Result] = []
        lost: list[Row] = []
        for rows, job in self._jobs:
            match job.exception():
                case PhotoRefused() as refusal:
                    found += (Refused(row, refusal.reason) for row in rows)
                case FileDamaged():
                    found += (Failed(row, DAMAGED) for row in rows)
                case NotDecoded():
                    found += (Failed(row, NO_TIME) for row in rows)
                case FileLost():
                    lost += rows
        if lost and not photo_files.is_any_other_original_found([row.image_id for row in lost]):
            raise StorageTrouble(f"No original photo is found, {lost[0].original} among them: is the volume mounted?")
        return found + [Failed(row, LOST) for row in lost]

    def _prepare_group(self, rows: Sequence[Row]) -> Prepared:
        """Runs in a decode thread, which has no connection to the database."""
        duplicate = self._duplicates.get(rows[0].sha256)
        if duplicate and not any(row.has_vector for row in rows):
            with suppress(FileLost):
                return Prepared(_copy_duplicate_derivatives(rows, duplicate), vector=duplicate.vector)
        picture = photo_files.load_picture(rows[0], is_patient=self._is_patient)
        pixels = self.embedder.prepare(picture.image)
        if picture.encoded is None:
            return Prepared((None,) * len(rows), pixels)
        encoded = picture.encoded
        return Prepared(photo_files.make_for_each(rows, lambda: photo_files.save_derivatives(encoded)), pixels)


class SlowPhotos:
    """Photos that take long to decode, each a micro-batch of its own, which go on beside those of everybody else."""

    def __init__(self, threads: Executor) -> None:
        self.batches: list[Batch] = []
        self._threads = threads

    def add(self, lease: Lease, embedder: Embedder) -> None:
        self.batches.append(Batch(lease, embedder, self._threads))

    def take_decoded(self) -> list[Batch]:
        return self._take([batch for batch in self.batches if batch.is_decoded])

    def take_unstarted(self) -> list[Batch]:
        """Those that nobody will decode any more."""
        return self._take([batch for batch in self.batches if batch.cancel_decoding()])

    def wait_a_moment(self, activity: Activity) -> None:
        """Nothing else is left to wait for but the first of them: there is one thread, which takes them in order."""
        for batch in self.batches[:1]:
            activity.go_on_with(batch.lease.seconds, batch.list_unfinished_photos)
        time.sleep(LOOK_SECONDS)

    def count_of_seller(self, seller_id: int) -> int:
        return sum(batch.lease.rows[0].seller_id == seller_id for batch in self.batches)

    def _take(self, taken: list[Batch]) -> list[Batch]:
        self.batches = [batch for batch in self.batches if batch not in taken]
        return taken


def group_rows_by_bytes_and_derivatives(rows: Sequence[Row]) -> list[list[Row]]:
    """Group rows of the same bytes; those that have derivatives are kept apart from those that need them."""
    groups: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.sha256, bool(row.clean)].append(row)
    return list(groups.values())


def find_duplicates(lease: Lease) -> dict[str, Duplicate]:
    """By sha256, an embedded photo of the same bytes for rows that never had a vector.

    Rows that have one were asked to be embedded again, and a copy would give them what they have.
    """
    asked = {row.sha256 for row in lease.rows if not row.has_vector}
    if not asked:
        return {}
    embedded = Embedding.objects.filter(
        model_id=lease.model_id, image__sha256__in=asked, state=Embedding.State.DONE, vector__isnull=False
    )
    first = embedded.values("image__sha256").annotate(first=Min("pk")).values("first")
    names = ("image__clean_file", "image__thumb_file", "image__width", "image__height", "image__reason")
    return {
        sha256: Duplicate(np.frombuffer(vector, np.float16), Derivatives(*files) if all(files[:-1]) else None)
        for sha256, vector, *files in Embedding.objects.filter(pk__in=first).values_list(
            "image__sha256", "vector", *names
        )
    }


def _copy_duplicate_derivatives(rows: Sequence[Row], duplicate: Duplicate) -> tuple[Derivatives | None, ...]:
    if all(row.clean for row in rows):
        return (None,) * len(rows)
    if duplicate.derivatives is None:
        raise FileLost(rows[0].original)
    source = duplicate.derivatives
    return photo_files.make_for_each(rows, lambda: photo_files.copy_derivatives(source))
