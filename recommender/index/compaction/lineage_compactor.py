"""Compacts one model's lineage: flushes what changed into a segment, merges segments, rebuilds what is lost.

The position in the feed is read before the rows. So what is edited meanwhile may be in the new files already, and is
certainly in the feed of whoever reads them: a change can be applied twice, never missed.
"""

from __future__ import annotations

import logging
import math
import uuid

import numpy as np
from django.conf import settings
from django.utils import timezone

from recommender import feed, lineage
from recommender.index.errors import IndexNotReady, SnapshotDamaged, SnapshotUnreadable
from recommender.index.model_hooks import get_model_hooks
from recommender.index.storage.snapshot import find_missing_files, purge_seconds
from recommender.index.view.reader import Index
from recommender.index.view.state import State
from recommender.models import EmbeddingModel, IndexHead, IndexSnapshot

from .lease import CompactorLease
from .merge_policy import is_empty_flush_due, is_flush_due
from .merge_runner import MergeRunner
from .outcome import Action
from .publish import retire_earlier_snapshots_if_due
from .retry_pause import RetryPause
from .validation import SnapshotRejected
from .write_snapshots import build_and_publish_index_from_rows, flush_delta_and_publish

logger = logging.getLogger(__name__)

# A flush may always hold this many rows, however little memory INDEX_MEMORY_MB allows: with less, an import would end
# in rebuilding the index from rows.
MIN_FLUSH_CAPACITY = 50_000

# A model's first snapshot is built once at most one photo in this many still waits for its vector. Vectors that
# come later are in the feed, so the next flush adds them.
PHOTOS_PER_WAITING = 20


class LineageCompactor:
    """Lives as long as its process and its model: its reader reads only what changed since the last compaction."""

    def __init__(self, model: EmbeddingModel) -> None:
        self.model = model
        self.merges = MergeRunner()
        self._reader: Index | None = None
        self._rejected = RetryPause()

    def compact(self, lease: CompactorLease, *, force: bool) -> list[Action]:
        """Decide what the lineage needs, flush what changed, publish the merge that has ended, begin those due.

        Raises: LeaseLost; SnapshotDamaged, OSError where nothing could be flushed.
        """
        if not self._is_model_still_live():
            return []
        newest = lineage.latest_snapshot(IndexHead.load(), self.model)
        if newest is None and not self.model.is_active:
            return self._build_first_snapshot_if_ready(lease)
        state = self._open_newest_state(lease, newest)
        if state is None:
            return self._rebuild_lost_snapshot(lease, newest)
        actions, base = [], state.base
        if _is_snapshot_due(state, newest) or (force and _count_changed_rows(state)):
            base = flush_delta_and_publish(lease, state)
            actions.append(Action.FLUSHED)
        actions += self.merges.run(lease, base, force=force)
        retire_earlier_snapshots_if_due(self.model, purge_seconds())
        return actions

    def rebuild(self, lease: CompactorLease, epoch: uuid.UUID | None = None) -> list[Action]:
        """Build a snapshot from rows alone. What validation rejects is tried again much later.

        epoch: begins a new history; without it the head's goes on
        """
        if not self._is_model_still_live() or self._rejected.is_on:
            return []
        head = IndexHead.load()
        newest = lineage.latest_snapshot(head, self.model)
        try:
            build_and_publish_index_from_rows(
                lease, self.model, epoch or head.epoch, parent=newest.pk if newest else None
            )
        except SnapshotRejected as exc:
            logger.error("a snapshot is not published: %s", exc)
            self._rejected.begin()
            return []
        return [Action.REBUILT]

    def _is_model_still_live(self) -> bool:
        # The lineages before this one may have taken minutes, in which somebody retired or activated the model.
        self.model.refresh_from_db(fields=["state"])
        return self.model.is_live

    def _build_first_snapshot_if_ready(self, lease: CompactorLease) -> list[Action]:
        """Build the model's first snapshot, once nearly every photo is embedded."""
        counted = get_model_hooks().count_photos(self.model)
        return [] if counted.waiting * PHOTOS_PER_WAITING > counted.photos else self.rebuild(lease)

    def _rebuild_lost_snapshot(self, lease: CompactorLease, newest: IndexSnapshot | None) -> list[Action]:
        # Files ahead of the database are of a history that was given up by restoring a backup, so a new one begins.
        is_ahead = newest is not None and feed.is_foreign_to_database(newest.position)
        return self.rebuild(lease, uuid.uuid4() if is_ahead else None)

    def _open_newest_state(self, lease: CompactorLease, newest: IndexSnapshot | None) -> State | None:
        """The state over the newest snapshot, caught up; None, with the reason logged, where it must be rebuilt.

        Raises: SnapshotUnreadable where it is this process that cannot open the files, which may be whole.
        """
        if newest is not None and newest.model_id != self.model.pk:
            logger.warning("model %s is active, snapshot %s is of another: rebuilding", self.model.version, newest.pk)
            return None
        try:
            state = self._catch_up_reader(lease, newest.pk if newest else None)
        except SnapshotUnreadable:
            raise
        except (SnapshotDamaged, IndexNotReady) as exc:
            logger.warning("rebuilding the index of %s: %s", self.model.version, exc)
            self._mark_snapshot_damaged(newest)
            return None
        return None if self._drop_reader_if_behind(state) else state

    def _catch_up_reader(self, lease: CompactorLease, snapshot_id: int | None) -> State:
        """Raises: SnapshotDamaged, IndexNotReady."""
        if self._reader is None:
            self._reader = Index(_flush_capacity(self.model.dim), lineage_of=self.model.pk)
        self._reader.refresh(lease.renew_if_due)
        state = self._reader.get_state()
        # A reader that cannot open the newest snapshot keeps an older one. Building on that would lose changes.
        if state.base.id != snapshot_id:
            raise SnapshotDamaged(f"snapshot {snapshot_id} cannot be opened: {self._reader.health().problem}")
        # Files that are open can be read after they were deleted, so the reader would never notice.
        if missing := find_missing_files(state.base):
            raise SnapshotDamaged(f"{missing[0]} is missing")
        return state

    def _mark_snapshot_damaged(self, newest: IndexSnapshot | None) -> None:
        """Only the compactor marks a snapshot, after looking at the files itself; other readers may be mistaken."""
        now = lineage.latest_snapshot(IndexHead.load(), self.model)
        if newest is not None and now == newest:  # a snapshot that replaced it meanwhile was not looked at
            IndexSnapshot.objects.filter(pk=newest.pk).update(state=IndexSnapshot.State.DAMAGED)

    def _drop_reader_if_behind(self, state: State) -> bool:
        if not state.behind:
            return False
        words = "more changed than a flush may hold (%s rows, by INDEX_MEMORY_MB): rebuilding the index of %s from rows"
        logger.warning(words, f"{_flush_capacity(self.model.dim):,}", self.model.version)
        self._reader = None  # its delta is full, and of no use to the snapshot that is built now
        return True


def _is_snapshot_due(state: State, newest: IndexSnapshot | None) -> bool:
    age = (timezone.now() - newest.created_at).total_seconds() if newest else math.inf
    if age < 0:  # the clock was set back after it was written
        age = math.inf
    return is_flush_due(_count_changed_rows(state), age, settings.INDEX_FLUSH_ROWS) or is_empty_flush_due(
        feed.estimate_row_count(), age
    )


def _count_changed_rows(state: State) -> int:
    """Rows that a flush would write, and rows that it would mark dead."""
    died = [
        np.count_nonzero(part.live & ~live_rows.mask)
        for part, live_rows in zip(state.base.parts, state.live_rows, strict=True)
    ]
    return len(state.delta) + int(sum(died))


def _flush_capacity(dim: int) -> int:
    """Rows that a flush may hold: as many as have room for their vectors in half of the memory for building."""
    return max(MIN_FLUSH_CAPACITY, (settings.INDEX_MEMORY_MB << 20) // 2 // (dim * 2))
