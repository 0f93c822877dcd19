"""Makes a snapshot the one that is served: files first, then one compare-and-swap on the head."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from recommender import feed
from recommender.models import IndexHead, IndexSnapshot

from . import snapshot as snapshots
from .errors import LeaseLost
from .lease import Lease
from .snapshot import Snapshot

RETAINED = 2
EXACT_RECALL = 1.0  # exact structures return what a full scan returns


def publish(held: Lease, snapshot: Snapshot, parent: int | None, *, retained: int = RETAINED) -> Snapshot:
    """Write the snapshot's files and point the head at them.

    `parent` is the snapshot it was built from; the newest `retained` snapshots stay published.
    Raises: LeaseLost when the head no longer points at `parent` or the lease is another's; the files are removed then,
    but not when the database fails: the commit may have happened.
    """
    held.renew()
    name = f"{held.token.hex[:12]}-{uuid.uuid4().hex[:8]}"
    listed = snapshots.write(name, snapshot, EXACT_RECALL)
    try:
        row = _flip(held, snapshot, parent, name, listed, retained)
    except LeaseLost:
        shutil.rmtree(snapshots.snapshot_directory(name), ignore_errors=True)
        raise
    return replace(snapshot, id=row.pk, directory=name)


@transaction.atomic
def _flip(
    held: Lease, snapshot: Snapshot, parent: int | None, name: str, listed: list[dict], retained: int
) -> IndexSnapshot:
    before = IndexHead.objects.select_for_update().get(pk=1)
    row = IndexSnapshot.objects.create(
        model_id=snapshot.model_id,
        directory=name,
        position=snapshot.position,
        rows=snapshot.rows,
        segments=listed,
        recall=EXACT_RECALL,
        state=IndexSnapshot.State.PUBLISHED,
    )
    flipped = IndexHead.objects.filter(pk=1, snapshot_id=parent, token=held.token).update(
        snapshot=row, epoch=snapshot.epoch
    )
    if not flipped:
        raise LeaseLost("the head moved while the snapshot was built")
    _retire(row, 1 if before.epoch != snapshot.epoch else retained)
    _prune()
    return row


@transaction.atomic
def retire_fallbacks(seconds: float) -> None:
    """Retire the earlier snapshots once the served one is so old: they name what was deleted before it."""
    served = IndexHead.objects.select_for_update().get(pk=1).snapshot
    if served and timezone.now() - served.created_at >= timedelta(seconds=seconds):
        _retire(served, 1)


def _retire(newest: IndexSnapshot, retained: int) -> None:
    """Keep the newest `retained` snapshots of this model; the others are retired."""
    published = IndexSnapshot.objects.filter(state=IndexSnapshot.State.PUBLISHED)
    earlier = published.filter(model=newest.model_id).exclude(pk=newest.pk).order_by("-pk")
    keep = [newest.pk, *earlier.values_list("pk", flat=True)[: retained - 1]]
    published.exclude(pk__in=keep).update(state=IndexSnapshot.State.RETIRED)


def _prune() -> None:
    """Delete feed rows that every retained snapshot includes; readers behind the new horizon reload."""
    positions = IndexSnapshot.objects.filter(state=IndexSnapshot.State.PUBLISHED).order_by("pk")
    horizon = positions.values_list("position", flat=True).first()
    if horizon and horizon != feed.ZERO:
        feed.prune(horizon)
        IndexHead.objects.filter(pk=1).update(horizon=horizon)
