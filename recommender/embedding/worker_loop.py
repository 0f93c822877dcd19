"""The worker loop: a micro-batch is stored while others are inferred and decoded, until none is left.

Runs in a worker, a command or a test alike. Trouble that is not a photo's own gives the rows back untried, with one
logged sentence: a model's ends the work with that model, the storage's or the database's ends the time slice. The
sweep rings again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

from django.conf import settings
from django.db import InterfaceError, OperationalError

from recommender.errors import ModelNotReady

from . import lease_ends, queue, self_test, store_results
from .doorbell import doorbell
from .embedder_cache import EmbedderCache, embedders
from .lease_holders import LeaseHolder
from .micro_batch import Activity, Batch, ModelTrouble, SlowPhotos
from .photo_files import StorageTrouble
from .queue import Lease
from .store_results import Burst, Outcomes, Result, Returns, Tally

if TYPE_CHECKING:
    from ml.inference.embedder import Embedder
    from recommender.models import EmbeddingModel

logger = logging.getLogger(__name__)

# One micro-batch in this many is taken from the least urgent rows, so that uploads never stop a backfill.
LOW_PRIORITY_EVERY = 8
# The model computes one micro-batch, may have the next one waiting, and a third is decoded meanwhile.
MOST_IN_FLIGHT = 3


class WorkerLoop:
    """Embeds what the queue holds, one time slice after another.

    A process has one for its whole life, which remembers what it learned of its embedders and whose turn it is.
    """

    def __init__(self, cache: EmbedderCache = embedders, holder: LeaseHolder | None = None) -> None:
        self.activity = Activity()
        self._cache = cache
        self.holder = holder or LeaseHolder()  # without one only time ends its leases
        self._leased_batches = 0
        self._last_seller = 0
        self.returns = Returns()
        # The references are weak, so that an embedder leaves the memory when the cache forgets it.
        self._tested: WeakSet[Embedder] = WeakSet()
        self._batch_limits: WeakKeyDictionary[Embedder, int] = WeakKeyDictionary()

    def run_slice(self, seconds: float | None = None) -> Tally:
        """Embed until nothing is pending or the time is over; then look once more, and ring if there is more."""
        doorbell.clear_flag()
        deadline = time.monotonic() + (settings.EMBED_SLICE_SECONDS if seconds is None else seconds)
        with (
            ThreadPoolExecutor(settings.EMBED_THREADS, thread_name_prefix="decode") as threads,
            ThreadPoolExecutor(1, thread_name_prefix="decode-slow") as slow_thread,
        ):
            time_slice = _TimeSlice(self, threads, SlowPhotos(slow_thread), deadline)
            time_slice.run()
        # Whoever saved a photo after the last look, but before this line, found the flag set and did not ring.
        doorbell.clear_flag()
        if time_slice.is_more_pending():
            doorbell.ring()
        return time_slice.tally

    @property
    def is_low_priority_turn(self) -> bool:
        return self._leased_batches % LOW_PRIORITY_EVERY == LOW_PRIORITY_EVERY - 1

    def evict_retired_models(self) -> None:
        self._cache.evict_retired_models()

    def get_tested_embedder(self, model: EmbeddingModel) -> Embedder:
        """The model's embedder, which has embedded a drawn picture in this process. Raises: ModelNotReady."""
        embedder = self._cache.load_embedder(model)
        if embedder not in self._tested:
            self_test.check_embedder(model, embedder)
            self._tested.add(embedder)
        return embedder

    def lease_rows(
        self, model: EmbeddingModel, embedder: Embedder, passed_over: Iterable[int], *, others_in_flight: bool
    ) -> Lease | None:
        """As many rows as the embedder can compute at a time."""
        limit = min(settings.EMBED_BATCH, self._batch_limits.get(embedder, settings.EMBED_BATCH))
        lease = queue.lease_rows(
            model,
            limit,
            settings.EMBED_LEASE_SECONDS,
            low_priority=self.is_low_priority_turn,
            others_in_flight=others_in_flight,
            turn=queue.Turn(self.holder.number, self._last_seller, frozenset(passed_over)),
        )
        if lease is not None:
            self._leased_batches += 1
            self._last_seller = lease.last_seller
        return lease

    def release_batches(self, batches: Iterable[Batch]) -> None:
        """Give rows that are still in flight back untried."""
        for batch in batches:
            batch.discard_files()
            self.returns.give_back(batch.lease)

    def halve_batch_limit_and_mark_untested(self, embedder: Embedder, failed_at: int) -> None:
        """Test it again before its next micro-batch, which has half as many photos as it `failed_at`."""
        self._tested.discard(embedder)
        self._batch_limits[embedder] = max(1, failed_at // 2)

    def mark_embedders_untested(self) -> None:
        """Test every embedder again: nobody knows yet what the trouble is."""
        self._tested.clear()


class _TimeSlice:
    """One turn at the queue: the micro-batches in flight, and what this turn has learned of models and photos."""

    def __init__(self, loop: WorkerLoop, threads: Executor, slow: SlowPhotos, deadline: float) -> None:
        self.tally = Tally()
        self._loop, self._threads, self._slow, self._deadline = loop, threads, slow, deadline
        self._passed_over: set[int] = set()  # sellers with enough slow photos for this turn
        self._outcomes = Outcomes()
        self._unready_models: dict[int, str] = {}
        self._in_flight: list[Batch] = []
        self._is_in_trouble = False

    def run(self) -> None:
        try:
            self._loop.returns.give_back_kept()
            self._loop.evict_retired_models()
            if queue.is_anything_leased():
                lease_ends.release_forgotten_rows(self._loop.holder.number)
                lease_ends.requeue_or_give_up_ended_rows()
            for entry in queue.list_pending_models():
                # Loading a model may take longer than a lease lasts, so every model is loaded before any row is leased.
                self._get_embedder_or_mark_unready(entry.model)
            self._embed_batches()
            self._record_stop_reason(" ".join(self._unready_models.values()))
        except (StorageTrouble, Burst) as exc:
            self._loop.mark_embedders_untested()
            self._stop_slice_and_release_batches(str(exc), exc)
        except (OperationalError, InterfaceError) as exc:
            self._stop_slice_and_release_batches(f"The database cannot be used now: {exc}", exc)
        except (KeyboardInterrupt, SystemExit):
            self._release_everything()
            raise
        finally:
            self._loop.activity.end_batch()

    def is_more_pending(self) -> bool:
        """Whether another time slice could do more now; after trouble only the sweep rings."""
        if self._is_in_trouble:
            return False
        models = (entry.model for entry in queue.list_pending_models())
        return any(model.pk not in self._unready_models and queue.has_leasable_rows(model) for model in models)

    def _embed_batches(self) -> None:
        while self._in_flight or self._slow.batches or self._lease_next_batch():
            if self._slow.batches:
                self._go_on_with_slow_photos()
            if not self._in_flight:
                continue
            current = self._in_flight[0]
            self._wait_for_decoding(current)
            self._set_slow_photos_apart(current)
            if not current.lease.rows:
                self._in_flight.remove(current)
                continue
            current.start_inference()
            self._lease_batches_ahead(current)
            try:
                results = current.wait_for_results()
            except ModelTrouble as exc:
                self._set_model_aside(current, exc)
                continue
            try:
                self._start_next_inference_if_decoded()
            finally:
                # Trouble with the next micro-batch must not cost the results that this one has.
                self._settle_batch(current, results)
            self._renew_leases_if_due()
            self._outcomes.record_and_raise_on_burst(results)

    def _wait_for_decoding(self, current: Batch) -> None:
        """Each photo has the time of a lease to itself: a micro-batch of large ones takes longer as a whole."""
        self._loop.activity.begin_batch(current.seconds_left, current.list_unfinished_photos)
        for _ in current.iterate_decoding():
            self._renew_leases_if_due()
            self._loop.activity.begin_batch(current.seconds_left, current.list_unfinished_photos)

    def _set_slow_photos_apart(self, current: Batch) -> None:
        for lease in current.set_slow_apart():
            seller = lease.rows[0].seller_id
            self._slow.add(lease, current.embedder)
            if self._slow.count_of_seller(seller) >= queue.UPLOADS_OF_A_SELLER:
                self._passed_over.add(seller)

    def _go_on_with_slow_photos(self) -> None:
        """Take those that are decoded; where there is nothing else to do, look for others and wait a moment."""
        self._in_flight += self._slow.take_decoded()
        if time.monotonic() > self._deadline:
            # Others come first in the next time slice as well, so what is given back here is not leased again in this.
            unstarted = self._slow.take_unstarted()
            self._passed_over.update(batch.lease.rows[0].seller_id for batch in unstarted)
            self._loop.release_batches(unstarted)
        self._renew_leases_if_due()
        if not self._in_flight and not self._lease_next_batch(others_in_flight=True):
            self._slow.wait_a_moment(self._loop.activity)

    def _release_everything(self) -> None:
        self._loop.release_batches([*self._in_flight, *self._slow.take_unstarted(), *self._slow.batches])

    def _renew_leases_if_due(self) -> None:
        for batch in (*self._in_flight, *self._slow.batches):
            batch.renew_lease_if_due()

    def _lease_batches_ahead(self, current: Batch) -> None:
        """Lease what is decoded while the model computes `current`."""
        while not current.is_retry and len(self._in_flight) < MOST_IN_FLIGHT:
            if not self._lease_next_batch(others_in_flight=True):
                break

    def _set_model_aside(self, failed: Batch, trouble: ModelTrouble) -> None:
        """Do no more with this model in this time slice."""
        model_id = failed.lease.model_id
        self._unready_models[model_id] = str(trouble)
        self._loop.halve_batch_limit_and_mark_untested(failed.embedder, len(failed.lease.rows))
        of_model = [batch for batch in self._in_flight if batch.lease.model_id == model_id]
        self._in_flight = [batch for batch in self._in_flight if batch not in of_model]
        self._loop.release_batches(of_model)

    def _start_next_inference_if_decoded(self) -> None:
        """Give the model the next micro-batch if it is decoded, so that it computes while results are stored."""
        if len(self._in_flight) > 1 and self._in_flight[1].is_decoded:
            self._in_flight[1].start_inference()

    def _lease_next_batch(self, *, others_in_flight: bool = False) -> bool:
        """Lease the next micro-batch of the most urgent model that works here; its decoding starts at once."""
        passed: set[int] = set()  # models whose rows all wait until the same bytes are embedded for another row
        # A photo that takes long must not hold others up at the end of a time slice either.
        while time.monotonic() < self._deadline or self._slow.batches:
            skipped = passed | self._unready_models.keys()
            entries = [entry for entry in queue.list_pending_models() if entry.model.pk not in skipped]
            if not entries:
                return False
            model = queue.pick_model(entries, low_priority=self._loop.is_low_priority_turn)
            embedder = self._get_embedder_or_mark_unready(model)
            if embedder is None:
                continue
            lease = self._loop.lease_rows(model, embedder, self._passed_over, others_in_flight=others_in_flight)
            if lease is not None:
                is_retry = any(row.attempts for row in lease.rows)
                self._in_flight.append(Batch(lease, embedder, self._threads, is_patient=is_retry))
                return True
            # Rows are there, but another worker was faster, or they are retries, which must be alone in flight.
            if queue.has_leasable_rows(model):
                return False
            passed.add(model.pk)
        return False

    def _get_embedder_or_mark_unready(self, model: EmbeddingModel) -> Embedder | None:
        try:
            return self._loop.get_tested_embedder(model)
        except ModelNotReady as exc:
            self._unready_models[model.pk] = str(exc)
            return None

    def _settle_batch(self, batch: Batch, results: Sequence[Result]) -> None:
        self._in_flight.remove(batch)
        try:
            self.tally += store_results.settle_rows(batch.lease, results)
        except (OperationalError, InterfaceError) as exc:
            self._loop.returns.give_back(batch.lease)
            if store_results.is_surely_undone(exc):
                store_results.discard_files(results)
            raise

    def _stop_slice_and_release_batches(self, sentence: str, cause: Exception) -> None:
        self._is_in_trouble = True
        self._record_stop_reason(sentence, cause)
        self._release_everything()

    def _record_stop_reason(self, sentence: str, cause: Exception | None = None) -> None:
        self.tally = replace(self.tally, stopped=sentence)
        self._loop.activity.note = sentence
        if sentence:
            # With its cause, by which the log knows an outage that it has told already.
            logger.error("Embedding stops for now. %s", sentence, extra={"cause": cause})
