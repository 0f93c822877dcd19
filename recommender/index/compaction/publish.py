"""Makes a snapshot the newest of its lineage: files first, then one compare-and-swap under the head's lock.

The head itself moves only with the active model's lineage; `recommender.registry.lifecycle` moves it from one model to
another.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from recommender import feed, lineage
from recommender.index.errors import LeaseLost
from recommender.index.storage import snapshot as snapshots
from recommender.index.storage.snapshot import Snapshot
from recommender.models import EmbeddingModel, IndexHead, IndexSnapshot

from .lease import CompactorLease

# Of each lineage this many of the newest snapshots stay published: the one that is served, and one to fall back on
# for a process that cannot open the first.
RETAINED_SNAPSHOTS = 2


def publish_snapshot(
    lease: CompactorLease, snapshot: Snapshot, parent: int | None, *, retained: int = RETAINED_SNAPSHOTS
) -> Snapshot:
    """Write the snapshot's files and make it the newest of its lineage.

    parent: the snapshot it was built from
    retained: how many of the newest snapshots of the lineage stay published
    Raises: LeaseLost when the lineage has moved past `parent`, its model was retired, or the lease is another's. The
    files are removed then, but not when the database fails: the commit may have happened.
    """
    lease.renew()
    name = lease.new_directory_name()
    listed = snapshots.write_snapshot(name, snapshot)
    try:
        row = commit_snapshot(lease, snapshot, parent, name, listed, retained)
    except LeaseLost:
        shutil.rmtree(snapshots.snapshot_directory(name), ignore_errors=True)
        raise
    return replace(snapshot, id=row.pk, directory=name)


@transaction.atomic
def commit_snapshot(
    lease: CompactorLease,
    snapshot: Snapshot,
    parent: int | None,
    name: str,
    listed: list[dict[str, object]],
    retained: int,
) -> IndexSnapshot:
    """Add the snapshot's row and retire those it replaces, all or nothing. Raises: LeaseLost."""
    # Whoever switches models or retires snapshots locks the head first, so both stand still from here on. What was
    # known of the model before may be outdated.
    head = IndexHead.lock()
    model = EmbeddingModel.objects.get(pk=snapshot.model_id)
    newest = lineage.latest_snapshot(head, model)
    if head.token != lease.token or (newest.pk if newest else None) != parent or not model.is_live:
        raise LeaseLost(f"the index of {model.version} moved on while this snapshot was built")
    row = _create_snapshot_row(snapshot, model, name, listed)
    begins_epoch = head.epoch != snapshot.epoch
    head.epoch = snapshot.epoch
    if model.is_active:
        head.snapshot = row
    head.save(update_fields=["epoch", "snapshot"])
    # Files of the history before this epoch say nothing about the rows of the database any more, so nobody may fall
    # back on them, in whatever lineage.
    _retire_earlier_snapshots(row, 1 if begins_epoch else retained)
    _retire_outdated_lineages(row, begins_epoch=begins_epoch)
    _prune_feed()
    return row


def _create_snapshot_row(
    snapshot: Snapshot, model: EmbeddingModel, name: str, listed: list[dict[str, object]]
) -> IndexSnapshot:
    return IndexSnapshot.objects.create(
        model=model,
        directory=name,
        position=snapshot.position,
        rows=snapshot.rows,
        segments=listed,
        recall=snapshot.recall,
        state=IndexSnapshot.State.PUBLISHED,
    )


@transaction.atomic
def retire_earlier_snapshots_if_due(model: EmbeddingModel, seconds: float) -> None:
    """Retire the model's earlier snapshots once its newest is this old.

    They name files that still hold what was deleted before the newest was written.
    """
    IndexHead.lock()
    newest = lineage.published_snapshots(model.pk).first()
    if newest and timezone.now() - newest.created_at >= timedelta(seconds=seconds):
        _retire_earlier_snapshots(newest, 1)


def _retire_earlier_snapshots(newest: IndexSnapshot, retained: int) -> None:
    """Keep the newest `retained` snapshots of this lineage."""
    published = lineage.published_snapshots(newest.model_id)
    earlier = published.exclude(pk=newest.pk).values_list("pk", flat=True)
    keep = [newest.pk, *earlier[: retained - 1]]
    published.exclude(pk__in=keep).update(state=IndexSnapshot.State.RETIRED)


def _retire_outdated_lineages(newest: IndexSnapshot, *, begins_epoch: bool) -> None:
    """Retire snapshots of models that are not live; where a new epoch begins, those of every other model."""
    others = IndexSnapshot.objects.filter(state=IndexSnapshot.State.PUBLISHED).exclude(model=newest.model_id)
    if not begins_epoch:
        others = others.exclude(model__state__in=EmbeddingModel.LIVE)
    others.update(state=IndexSnapshot.State.RETIRED)


def _prune_feed() -> None:
    """Delete feed rows that every retained snapshot of every lineage includes; readers behind the new horizon reload.

    A backfilling model that has no snapshot yet holds nothing back: its first one is built from rows.
    """
    retained = IndexSnapshot.objects.filter(state=IndexSnapshot.State.PUBLISHED)
    horizon = feed.find_earliest_position(retained.values_list("position", flat=True))
    if horizon and horizon != feed.ZERO:
        feed.prune_rows(horizon)
        IndexHead.row().update(horizon=horizon)
