"""The embedding loop: a micro-batch is stored while others are inferred and decoded, until none is left.

Runs in a worker, a command or a test alike. Trouble that is not a photo's own gives the rows back untried, with one
logged sentence: a model's ends the work with that model, the storage's or the database's ends the slice. The sweep
rings again.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError

from recommender.errors import ModelNotReady

from . import doorbell, queue, self_test, store_results
from .embedder_cache import embedders
from .micro_batch import Batch, ModelTrouble
from .photo_files import StorageTrouble
from .store_results import Embedded, Result
from .watchdog import Watch

if TYPE_CHECKING:
    from ml.inference.embedder import Embedder
    from recommender.models import EmbeddingModel

logger = logging.getLogger(__name__)

Load = Callable[["EmbeddingModel"], "Embedder"]

STARVING_EVERY = 8
MOST_IN_FLIGHT = 3  # micro-batches: one that the model has, one that it may have next, one that is decoded
BURST_RUN = 20
BURST_WINDOW = 40


@dataclass
class _Turns:
    """Micro-batches this process has taken; one in eight comes from the worst lane."""

    taken: int = 0

    @property
    def starving(self) -> bool:
        return self.taken % STARVING_EVERY == STARVING_EVERY - 1


_turns = _Turns()
_proven: WeakSet[Embedder] = WeakSet()  # embedders that passed the test picture in this process
_most: WeakKeyDictionary[Embedder, int] = WeakKeyDictionary()  # photos at a time, of those that failed at twice as many


class Burst(Exception):
    """So many photos in a row could not be embedded that the photos are not to blame."""


@dataclass
class Tally:
    """What one slice did; `stopped` says why it left work that was there."""

    batches: int = 0
    done: int = 0
    rejected: int = 0
    failed: int = 0
    dropped: int = 0
    stopped: str = ""


def embed_pending(slice_seconds: float | None = None, *, load: Load | None = None, watch: Watch | None = None) -> Tally:
    """Embed until nothing is pending or the slice is over; then look once more, and ring if there is more."""
    seconds = settings.EMBED_SLICE_SECONDS if slice_seconds is None else slice_seconds
    doorbell.answer()
    with ThreadPoolExecutor(settings.EMBED_THREADS, thread_name_prefix="decode") as threads:
        work = _Slice(threads, time.monotonic() + seconds, load or embedders.load_embedder, watch or Watch())
        work.run()
    doorbell.answer()
    if work.is_more_pending():
        doorbell.ring()
    return work.tally


def is_burst(outcomes: Sequence[bool]) -> bool:
    """Whether photos failed (False) 20 times in a row, or in more than half of the last 40."""
    last = list(outcomes)[-BURST_WINDOW:]
    unbroken = len(last) >= BURST_RUN and not any(last[-BURST_RUN:])
    return unbroken or (len(last) == BURST_WINDOW and last.count(False) > BURST_WINDOW / 2)


class _Slice:
    def __init__(self, threads: Executor, deadline: float, load: Load, watch: Watch) -> None:
        self.tally = Tally()
        self._threads, self._deadline, self._load, self._watch = threads, deadline, load, watch
        self._outcomes: deque[bool] = deque(maxlen=BURST_WINDOW)
        self._unready: dict[int, str] = {}
        self._in_flight: list[Batch] = []
        self._troubled = False

    def run(self) -> None:
        try:
            embedders.forget_retired()
            queue.return_expired()
            for entry in queue.waiting():
                self._ready(entry.model)  # loading takes longer than a lease may wait
            self._drain()
            self._say(" ".join(self._unready.values()))
        except (StorageTrouble, Burst) as exc:
            _proven.clear()
            self._stop(str(exc))
        except (OperationalError, InterfaceError) as exc:
            self._stop(f"The database does not answer: {exc}")
        except (KeyboardInterrupt, SystemExit):
            _abandon(self._in_flight)
            raise
        finally:
            self._watch.end()

    def is_more_pending(self) -> bool:
        """Whether another slice could do more now; after trouble only the sweep rings."""
        if self._troubled:
            return False
        models = (entry.model for entry in queue.waiting())
        return any(model.pk not in self._unready and queue.is_leasable(model) for model in models)

    def _drain(self) -> None:
        while self._in_flight or self._lease():
            current = self._in_flight[0]
            self._watch.begin(current.seconds_left, current.unfinished)
            current.infer()
            while not current.is_retry and len(self._in_flight) < MOST_IN_FLIGHT and self._lease(beside=True):
                pass
            try:
                found = current.results()
            except ModelTrouble as exc:
                self._set_aside(current, exc)
                continue
            try:
                self._go_on()
            finally:
                self._store(current, found)
            for ahead in self._in_flight:
                ahead.keep()
            self._judge(found)

    def _set_aside(self, failed: Batch, trouble: ModelTrouble) -> None:
        """No more with this model in this slice; in the next one it is proven again and given half as many photos."""
        model_id = failed.lease.model_id
        self._unready[model_id] = str(trouble)
        _proven.discard(failed.embedder)
        _most[failed.embedder] = max(1, len(failed.lease.rows) // 2)
        its = [batch for batch in self._in_flight if batch.lease.model_id == model_id]
        self._in_flight = [batch for batch in self._in_flight if batch not in its]
        _abandon(its)

    def _go_on(self) -> None:
        """While results are stored the model has the next micro-batch, where it is decoded already."""
        if len(self._in_flight) > 1 and self._in_flight[1].is_decoded:
            self._in_flight[1].infer()

    def _lease(self, *, beside: bool = False) -> bool:
        """Take the next micro-batch of the most urgent model that works here; its decoding starts at once."""
        passed: set[int] = set()  # models whose rows all wait for the same bytes elsewhere
        while time.monotonic() < self._deadline:
            entries = [entry for entry in queue.waiting() if entry.model.pk not in passed | self._unready.keys()]
            if not entries:
                return False
            model = queue.pick(entries, starving=_turns.starving)
            embedder = self._ready(model)
            if embedder is None:
                continue
            if self._take(model, embedder, beside=beside):
                return True
            if queue.is_leasable(model):  # by somebody else, or once nothing else is in flight
                return False
            passed.add(model.pk)
        return False

    def _take(self, model: EmbeddingModel, embedder: Embedder, *, beside: bool) -> bool:
        limit = min(settings.EMBED_BATCH, _most.get(embedder, settings.EMBED_BATCH))
        lease = queue.lease(model, limit, settings.EMBED_LEASE_SECONDS, starving=_turns.starving, beside=beside)
        if lease is None:
            return False
        _turns.taken += 1
        self._in_flight.append(Batch(lease, embedder, self._threads))
        return True

    def _ready(self, model: EmbeddingModel) -> Embedder | None:
        try:
            embedder = self._load(model)
            if embedder not in _proven:
                self_test.prove(model, embedder)
                _proven.add(embedder)
        except ModelNotReady as exc:
            self._unready[model.pk] = str(exc)
            return None
        return embedder

    def _store(self, batch: Batch, found: Sequence[Result]) -> None:
        self._in_flight.remove(batch)
        try:
            stored = store_results.store(batch.lease, found)
        except (OperationalError, InterfaceError):
            with suppress(DatabaseError, InterfaceError):
                queue.release(batch.lease)
            raise
        self.tally.batches += 1
        for outcome in ("done", "rejected", "failed", "dropped"):
            setattr(self.tally, outcome, getattr(self.tally, outcome) + getattr(stored, outcome))

    def _judge(self, found: Iterable[Result]) -> None:
        self._outcomes.extend(isinstance(result, Embedded) for result in found)
        if is_burst(self._outcomes):
            raise Burst(
                f"{self._outcomes.count(False)} of the last {len(self._outcomes)} photos could not be embedded."
            )

    def _stop(self, sentence: str) -> None:
        self._troubled = True
        self._say(sentence)
        _abandon(self._in_flight)

    def _say(self, sentence: str) -> None:
        self.tally.stopped = self._watch.note = sentence
        if sentence:
            logger.error("Embedding stops for now. %s", sentence)


def _abandon(batches: Iterable[Batch]) -> None:
    """Give rows that are still in flight back untried; without a database their leases expire."""
    for batch in batches:
        with suppress(DatabaseError, InterfaceError):
            batch.abandon()
