"""Keeps the index files in step with the database, for every live model, in the one process that holds the lease.

Any process may try to compact. The lease lets one of them build at a time, and the compare-and-swap in
`publish_snapshot` refuses what a process built whose lease ran out meanwhile.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

from ml.per_process import PerProcess
from recommender.index.errors import LeaseLost, SnapshotDamaged
from recommender.lineage import published_snapshots
from recommender.models import EmbeddingModel, IndexHead

from .background_merge import Merge
from .garbage import collect_garbage
from .lease import CompactorLease, acquire_lease
from .lineage_compactor import LineageCompactor
from .outcome import Action, CompactionOutcome

logger = logging.getLogger(__name__)


class Compactor:
    """Compacts the lineage of every live model, and keeps what each of them remembers from one call to the next."""

    def __init__(self) -> None:
        self._lineages: dict[int, LineageCompactor] = {}

    @property
    def merges(self) -> dict[int, Merge]:
        """The merges in the background, by the id of their model."""
        running = {model_id: lineage.merges.running for model_id, lineage in self._lineages.items()}
        return {model_id: merge for model_id, merge in running.items() if merge is not None}

    def compact(self, *, force: bool = False) -> CompactionOutcome:
        """Flush and merge what is due (everything, with `force`) for every live model.

        A lineage is rebuilt where its files are damaged, or where more changed than a flush may hold.
        """
        return _run_with_lease_and_collect_garbage(lambda lease: self._compact_lineages(lease, force=force))

    def rebuild(self, *, new_epoch: bool = False) -> CompactionOutcome:
        """Build every lineage again from rows alone.

        new_epoch: after a restore, when the history of the feed is another one
        """
        return _run_with_lease_and_collect_garbage(lambda lease: self._rebuild_lineages(lease, new_epoch=new_epoch))

    def stop_merges(self) -> None:
        """Give up what is being merged, before the process ends."""
        for merge in self.merges.values():
            merge.stop()

    def _compact_lineages(self, lease: CompactorLease, *, force: bool) -> list[Action]:
        return [
            action
            for lineage in self._update_live_lineages()
            for action in _compact_lineage(lineage, lease, force=force)
        ]

    def _rebuild_lineages(self, lease: CompactorLease, *, new_epoch: bool) -> list[Action]:
        # A model that has no snapshot yet gets its first one from `compact`, once enough photos are embedded.
        lineages = [
            lineage
            for lineage in self._update_live_lineages()
            if lineage.model.is_active or _has_published_snapshot(lineage.model)
        ]
        # Only the first lineage begins a new history: a second one would retire what was just built.
        epochs = [uuid.uuid4() if new_epoch and number == 0 else None for number in range(len(lineages))]
        return [
            action for lineage, epoch in zip(lineages, epochs, strict=True) for action in lineage.rebuild(lease, epoch)
        ]

    def _update_live_lineages(self) -> list[LineageCompactor]:
        """One for each live model, in the order in which they are compacted; those of other models are forgotten."""
        live = {model.pk: model for model in EmbeddingModel.objects.live().in_indexing_order()}
        for model_id in self._lineages.keys() - live.keys():
            self._lineages.pop(model_id).merges.stop()
        for model_id, model in live.items():
            lineage = self._lineages.setdefault(model_id, LineageCompactor(model))
            lineage.model = model  # since the last call it may have been activated or put on standby
        return [self._lineages[model_id] for model_id in live]


own_compactor = PerProcess(Compactor)


def compact(*, force: bool = False) -> CompactionOutcome:
    """See Compactor.compact: with the compactor of this process."""
    return own_compactor.get().compact(force=force)


def rebuild(*, new_epoch: bool = False) -> CompactionOutcome:
    """See Compactor.rebuild: with the compactor of this process."""
    return own_compactor.get().rebuild(new_epoch=new_epoch)


def stop_merges() -> None:
    """Give up what this process merges, before it ends."""
    if compactor := own_compactor.get_if_made():
        compactor.stop_merges()


def _run_with_lease_and_collect_garbage(work: Callable[[CompactorLease], list[Action]]) -> CompactionOutcome:
    with acquire_lease() as lease:
        if lease is None:
            return CompactionOutcome((Action.BUSY,))
        try:
            actions = work(lease)
            return CompactionOutcome(tuple(actions) or (Action.NOTHING,), IndexHead.load().snapshot_id)
        except LeaseLost as exc:
            logger.warning("compaction not published: %s", exc)
            return CompactionOutcome((Action.SUPERSEDED,))
        except (OSError, SnapshotDamaged) as exc:
            logger.error("the index is left as it is, readers go on with what they have: %s", exc)
            return CompactionOutcome((Action.FAILED,))
        finally:
            # This is done after a failure too: on a full disk, deleting what nobody needs makes the next try possible.
            collect_garbage()


def _compact_lineage(lineage: LineageCompactor, lease: CompactorLease, *, force: bool) -> list[Action]:
    """Damaged files of one lineage must not keep the others from being compacted."""
    try:
        return lineage.compact(lease, force=force)
    except SnapshotDamaged as exc:
        logger.error("the index of %s is left as it is: %s", lineage.model.version, exc)
        return [Action.FAILED]


def _has_published_snapshot(model: EmbeddingModel) -> bool:
    return published_snapshots(model.pk).exists()
