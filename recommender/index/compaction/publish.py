"""Makes a snapshot the newest of its model's line: files first, then one compare-and-swap under the head's lock.

The head itself moves only with the line of the active model; `recommender.registry.lifecycle` moves it between lines.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from recommender import feed, lineage
from recommender.index.errors import LeaseLost
from recommender.index.storage import snapshot as snapshots
from recommender.index.storage.snapshot import Snapshot
from recommender.models import EmbeddingModel, IndexHead, IndexSnapshot

from .lease import Lease

RETAINED_SNAPSHOTS = 2


def publish(held: Lease, snapshot: Snapshot, parent: int | None, *, retained: int = RETAINED_SNAPSHOTS) -> Snapshot:
    """Write the snapshot's files and make it the newest of its model's line.

    `parent` is the snapshot it was built from; the newest `retained` snapshots of the line stay published.
    Raises: LeaseLost when the line has moved past `parent`, its model was retired, or the lease is another's; the
    files are removed then, but not when the database fails: the commit may have happened.
    """
    held.renew()
    name = f"{held.token.hex[:12]}-{uuid.uuid4().hex[:8]}"
    listed = snapshots.write(name, snapshot)
    try:
        row = append_snapshot(held, snapshot, parent, name, listed, retained)
    except LeaseLost:
        shutil.rmtree(snapshots.snapshot_directory(name), ignore_errors=True)
        raise
    return replace(snapshot, id=row.pk, directory=name)


@transaction.atomic
def append_snapshot(
    held: Lease, snapshot: Snapshot, parent: int | None, name: str, listed: list[dict], retained: int
) -> IndexSnapshot:
    head = IndexHead.lock()
    model = EmbeddingModel.objects.get(pk=snapshot.model_id)  # it may have been activated or retired meanwhile
    tip = lineage.tip(head, model)
    if head.token != held.token or (tip.pk if tip else None) != parent or not model.is_live:
        raise LeaseLost(f"the index of {model.version} moved on while this snapshot was built")
    row = IndexSnapshot.objects.create(
        model=model,
        directory=name,
        position=snapshot.position,
        rows=snapshot.rows,
        segments=listed,
        recall=snapshot.recall,
        state=IndexSnapshot.State.PUBLISHED,
    )
    renewed = head.epoch != snapshot.epoch
    head.epoch = snapshot.epoch
    if model.is_active:
        head.snapshot = row
    head.save(update_fields=["epoch", "snapshot"])
    _retire_earlier(row, 1 if renewed else retained)
    _retire_other_lineages(row, renewed=renewed)
    _prune_feed()
    return row


@transaction.atomic
def retire_fallbacks(model: EmbeddingModel, seconds: float) -> None:
    """Retire the model's earlier snapshots once its newest is so old: they name what was deleted before it."""
    IndexHead.lock()
    newest = lineage.published(model.pk).first()
    if newest and timezone.now() - newest.created_at >= timedelta(seconds=seconds):
        _retire_earlier(newest, 1)


def _retire_earlier(newest: IndexSnapshot, retained: int) -> None:
    """Keep the newest `retained` snapshots of this line."""
    published = lineage.published(newest.model_id)
    earlier = published.exclude(pk=newest.pk).values_list("pk", flat=True)
    keep = [newest.pk, *earlier[: retained - 1]]
    published.exclude(pk__in=keep).update(state=IndexSnapshot.State.RETIRED)


def _retire_other_lineages(newest: IndexSnapshot, *, renewed: bool) -> None:
    """Retire snapshots of models that are not live, and, in a renewed history, of every other line."""
    others = IndexSnapshot.objects.filter(state=IndexSnapshot.State.PUBLISHED).exclude(model=newest.model_id)
    if not renewed:
        others = others.exclude(model__state__in=EmbeddingModel.LIVE)
    others.update(state=IndexSnapshot.State.RETIRED)


def _prune_feed() -> None:
    """Delete feed rows that every retained snapshot of every line includes; readers behind the new horizon reload.

    A backfilling model that has no snapshot yet holds nothing back: its first one is built from rows.
    """
    retained = IndexSnapshot.objects.filter(state=IndexSnapshot.State.PUBLISHED)
    horizon = feed.earliest(retained.values_list("position", flat=True))
    if horizon and horizon != feed.ZERO:
        feed.prune(horizon)
        IndexHead.row().update(horizon=horizon)
