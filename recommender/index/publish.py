"""Makes a snapshot the one that is served: files first, then one compare-and-swap on the head."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace

from django.db import transaction

from recommender import feed
from recommender.models import IndexHead, IndexSnapshot

from . import snapshot as snapshots
from .errors import LeaseLost
from .lease import Lease
from .snapshot import Snapshot

RETAINED = 2


def publish(held: Lease, snapshot: Snapshot, parent: int | None, recall: float = 1.0) -> Snapshot:
    """Write the snapshot's files and point the head at them.

    `parent` is the snapshot it was built from. Recall is 1.0: exact structures return what a full scan returns.
    Raises: LeaseLost when the head no longer points at `parent` or the lease is another's; the files are removed.
    """
    held.renew()
    name = f"{held.token.hex[:12]}-{uuid.uuid4().hex[:8]}"
    listed = snapshots.write(name, snapshot, recall)
    try:
        row = _flip(held, snapshot, parent, name, listed, recall)
    except BaseException:
        shutil.rmtree(snapshots.snapshot_directory(name), ignore_errors=True)
        raise
    return replace(snapshot, id=row.pk, directory=name)


@transaction.atomic
def _flip(
    held: Lease, snapshot: Snapshot, parent: int | None, name: str, listed: list[dict], recall: float
) -> IndexSnapshot:
    before = IndexHead.objects.select_for_update().get(pk=1)
    row = IndexSnapshot.objects.create(
        model_id=snapshot.model_id,
        directory=name,
        position=snapshot.position,
        rows=snapshot.rows,
        segments=listed,
        recall=recall,
        state=IndexSnapshot.State.PUBLISHED,
    )
    flipped = IndexHead.objects.filter(pk=1, snapshot_id=parent, token=held.token).update(
        snapshot=row, epoch=snapshot.epoch
    )
    if not flipped:
        raise LeaseLost("the head moved while the snapshot was built")
    _retire(row, new_history=before.epoch != snapshot.epoch)
    _prune()
    return row


def _retire(newest: IndexSnapshot, *, new_history: bool) -> None:
    """Keep the newest snapshots of this model; the rest, and all of another history, are retired."""
    published = IndexSnapshot.objects.filter(state=IndexSnapshot.State.PUBLISHED)
    keep = [newest.pk]
    if not new_history:
        keep += (
            published.filter(model=newest.model_id)
            .exclude(pk=newest.pk)
            .order_by("-pk")
            .values_list("pk", flat=True)[: RETAINED - 1]
        )
    published.exclude(pk__in=keep).update(state=IndexSnapshot.State.RETIRED)


def _prune() -> None:
    """Delete feed rows that every retained snapshot includes; readers behind the new horizon reload."""
    positions = IndexSnapshot.objects.filter(state=IndexSnapshot.State.PUBLISHED).order_by("pk")
    horizon = positions.values_list("position", flat=True).first()
    if horizon and horizon != feed.ZERO:
        feed.prune(horizon)
        IndexHead.objects.filter(pk=1).update(horizon=horizon)
