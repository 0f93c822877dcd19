"""Settle leased rows: one transaction, only for rows still held; everything else is dropped with its files.

Photos are locked before embeddings, in id order, as a deletion does, so that neither waits for the other in a circle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Case, F, Model, When
from django.db.models.functions import Now
from numpy.typing import NDArray

from listings.models import ListingImage
from ml.inference.arrays import is_indexable
from recommender.feed import append_vector_changes
from recommender.models import Embedding

from . import photo_files
from .photo_files import Derivatives
from .queue import EXPIRED, Lease, Row, held_rows, release_rows

State, PhotoState = Embedding.State, ListingImage.State

BURST_RUN = 20
BURST_WINDOW = 40

BAD_VECTOR = "The model gave no usable vector for this photo; it is tried again later."


class Burst(Exception):
    """So many photos in a row could not be embedded that the photos are not to blame."""


@dataclass(frozen=True)
class Embedded:
    """A vector of the model, float[dim], and the photo's derivatives where they were just written."""

    row: Row
    vector: NDArray[np.floating]
    derivatives: Derivatives | None = None


@dataclass(frozen=True)
class Refused:
    """The photo's own bytes are at fault; `reason` is for the seller."""

    row: Row
    reason: str


@dataclass(frozen=True)
class Failed:
    """The photo could not be embedded now, by no fault of its own: the row is retried later."""

    row: Row
    reason: str


Result = Embedded | Refused | Failed


@dataclass(frozen=True)
class Tally:
    """What became of some micro-batches: how many rows were settled each way, and how many were `dropped`.

    A row is dropped that the worker no longer held. `stopped` says why a time slice left work that was there.
    """

    batches: int = 0
    done: int = 0
    rejected: int = 0
    failed: int = 0
    dropped: int = 0
    stopped: str = ""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.batches + other.batches,
            self.done + other.done,
            self.rejected + other.rejected,
            self.failed + other.failed,
            self.dropped + other.dropped,
            self.stopped or other.stopped,
        )


@dataclass
class _Settled:
    """Results of rows still held, sorted by what is written."""

    embedded: list[Embedded] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)


def is_failure_burst(outcomes: Sequence[bool]) -> bool:
    """Whether photos failed (False) 20 times in a row, or in more than half of the last 40."""
    last = list(outcomes)[-BURST_WINDOW:]
    unbroken = len(last) >= BURST_RUN and not any(last[-BURST_RUN:])
    return unbroken or (len(last) == BURST_WINDOW and last.count(False) > BURST_WINDOW / 2)


class Outcomes:
    """Whether the last photos could be embedded."""

    def __init__(self) -> None:
        self._last: deque[bool] = deque(maxlen=BURST_WINDOW)

    def record_and_raise_on_burst(self, results: Iterable[Result]) -> None:
        self._last.extend(isinstance(result, Embedded) for result in results)
        if is_failure_burst(self._last):
            raise Burst(f"{self._last.count(False)} of the last {len(self._last)} photos could not be embedded.")


class Returns:
    """Gives rows back untried: now, or before the next time slice where the database is away."""

    def __init__(self) -> None:
        self._kept: list[Lease] = []

    def give_back(self, lease: Lease) -> None:
        try:
            release_rows(lease)
        except (DatabaseError, InterfaceError):
            self._kept.append(lease)

    def give_back_kept(self) -> None:
        while self._kept:
            release_rows(self._kept[-1])
            self._kept.pop()


def settle_rows(lease: Lease, results: Sequence[Result]) -> Tally:
    """Write the results of the rows that are still held, and delete the files of the others."""
    with transaction.atomic():
        locked = _lock_photos(results)
        rows = held_rows(lease).select_for_update(of=("self",)).order_by("pk")
        # The listing is read again, because a photo may have moved to another one since it was leased.
        held = dict(rows.values_list("pk", "image__listing_id"))
        settled = _group_results_by_outcome([result for result in results if result.row.pk in held], locked)
        wanted = [result for result in settled.embedded if _may_store_derivatives(result, locked)]
        changed = {held[pk] for pk in _find_changed_rows(settled.embedded)}
        _write_embeddings(lease, settled)
        _write_photos(settled, wanted, locked)
        append_vector_changes(changed, lease.model_id)
    # This is in no `finally`: a commit whose answer was lost may have happened, and then rows name the files.
    used = {result.row.pk for result in wanted}
    photo_files.discard_derivatives(
        result.derivatives
        for result in results
        if isinstance(result, Embedded) and result.derivatives and result.row.pk not in used
    )
    return Tally(
        batches=1,
        done=len(settled.embedded),
        rejected=len(settled.refused),
        failed=len(settled.failed),
        dropped=len(results) - len(held),
    )


def is_surely_undone(exc: Exception) -> bool:
    """Whether the database said that it refused, as one whose disk is full does: a server that went away may have
    committed before. While it refuses for hours, files of every try would fill the disk of pictures as well."""
    cause, lost = exc.__cause__, ("08", "57")
    sqlstate = getattr(cause, "sqlstate", None) or ""
    return bool(getattr(cause, "sqlite_errorname", "") or (sqlstate and not sqlstate.startswith(lost)))


def discard_files(results: Sequence[Result]) -> None:
    photo_files.discard_derivatives(result.derivatives for result in results if isinstance(result, Embedded))


def _lock_photos(results: Sequence[Result]) -> dict[int, tuple[str, str]]:
    """Lock the photos whose rows will be written. Returns each one's state and clean file."""
    touched = {
        result.row.image_id
        for result in results
        if not result.row.ready or isinstance(result, Refused) or (isinstance(result, Embedded) and result.derivatives)
    }
    if not touched:
        return {}
    # Locking in the order of ids keeps two workers with photos in common from each waiting for a row that the other
    # has.
    rows = ListingImage.objects.select_for_update(no_key=True).filter(pk__in=touched).order_by("pk")
    return {pk: (state, clean) for pk, state, clean in rows.values_list("pk", "state", "clean_file")}


def _group_results_by_outcome(results: Iterable[Result], locked: dict[int, tuple[str, str]]) -> _Settled:
    settled = _Settled()
    for result in results:
        match result:
            case Embedded(row, vector) if not is_indexable(vector[np.newaxis]).all():
                settled.failed.append(Failed(row, BAD_VECTOR))
            case Embedded():
                settled.embedded.append(result)
            case Refused(row, reason) if locked[row.image_id][0] == PhotoState.READY:
                # The photo was decoded before, so its bytes are not at fault, and it stays on its page.
                settled.failed.append(Failed(row, reason))
            case Refused():
                settled.refused.append(result)
            case Failed():
                settled.failed.append(result)
    return settled


def _may_store_derivatives(result: Embedded, locked: dict[int, tuple[str, str]]) -> bool:
    """Whether the photo still names the clean file that it named at the lease: another worker may have been first."""
    return result.derivatives is not None and locked[result.row.image_id][1] == result.row.clean


def _find_changed_rows(embedded: Sequence[Embedded]) -> set[int]:
    """The rows whose vector becomes another one. Photos embedded again mostly keep theirs, and change no answer."""
    rows = [result.row.pk for result in embedded if result.row.has_vector]
    old = dict(Embedding.objects.filter(pk__in=rows).values_list("pk", "vector")) if rows else {}
    return {
        result.row.pk for result in embedded if bytes(old.get(result.row.pk) or b"") != to_float16_bytes(result.vector)
    }


def to_float16_bytes(vector: NDArray[np.floating]) -> bytes:
    """float32[dim] -> float16 bytes, as the vector column holds them."""
    return vector.astype(np.float16).tobytes()


def _write_embeddings(lease: Lease, settled: _Settled) -> None:
    held = held_rows(lease)
    common: dict[str, object] = {"token": None, "holder": None, "leased_until": None, "updated_at": Now()}
    if settled.embedded:
        vectors = [(result.row.pk, to_float16_bytes(result.vector)) for result in settled.embedded]
        # No token is asked for here, because the rows were found to be held and have been locked since.
        _bulk_update_rows(Embedding, ("vector",), vectors)
        held.filter(pk__in=[pk for pk, _ in vectors]).update(state=State.DONE, attempts=0, reason="", **common)
    for refused in settled.refused:
        held.filter(pk=refused.row.pk).update(state=State.REJECTED, vector=None, reason=refused.reason[:200], **common)
    for failed in settled.failed:
        # Attempts whose lease ran out are counted apart from failures like this one, so the count begins again at 1.
        attempts = Case(When(reason=EXPIRED, then=1), default=F("attempts") + 1)
        held.filter(pk=failed.row.pk).update(
            state=State.FAILED, attempts=attempts, reason=failed.reason[:200], **common
        )


def _write_photos(settled: _Settled, wanted: Sequence[Embedded], locked: dict[int, tuple[str, str]]) -> None:
    for refused in settled.refused:
        ListingImage.objects.filter(pk=refused.row.image_id).update(
            state=PhotoState.REJECTED, reason=refused.reason[:200]
        )
    if wanted:
        columns = ("clean_file", "thumb_file", "width", "height", "state", "reason")
        _bulk_update_rows(ListingImage, columns, [_derivative_values(one) for one in wanted])
    named = {result.row.image_id for result in wanted}
    unready = [
        result.row.image_id
        for result in settled.embedded
        if result.row.image_id not in named
        and locked.get(result.row.image_id, (PhotoState.READY,))[0] != PhotoState.READY
    ]
    if unready:
        ListingImage.objects.filter(pk__in=unready).update(state=PhotoState.READY, reason="")


def _derivative_values(result: Embedded) -> tuple[object, ...]:
    made = result.derivatives
    assert made is not None  # noqa: S101 - for mypy: only results with derivatives come here
    return result.row.image_id, made.clean, made.thumb, made.width, made.height, PhotoState.READY, made.note


def _bulk_update_rows(table: type[Model], columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Give each row, which begins with its primary key, its own values in one statement.

    `bulk_update` would do the same, but takes longer to write its statement than the database needs to run it.
    """
    name = connection.ops.quote_name(table._meta.db_table)  # noqa: SLF001 - Django documents `_meta` as public
    names = [connection.ops.quote_name(column) for column in columns]
    changes = ", ".join(f"{column} = new.column{number}" for number, column in enumerate(names, start=2))
    values = ", ".join([f"({', '.join(['%s'] * (1 + len(columns)))})"] * len(rows))
    sql = f"UPDATE {name} SET {changes} FROM (VALUES {values}) AS new WHERE {name}.id = new.column1"  # noqa: S608 - only names of our own are put into it; values are parameters
    with connection.cursor() as cursor:
        cursor.execute(sql, [value for row in rows for value in row])
