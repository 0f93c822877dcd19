"""Opening snapshots: the head's, the newest of one model's lineage, and a successor's while the state goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from django.db import connection

from recommender import feed, lineage
from recommender.index.errors import IndexNotReady, SnapshotDamaged, SnapshotUnreadable
from recommender.index.model_hooks import get_model_hooks
from recommender.index.storage import snapshot
from recommender.index.storage.segment import Segment
from recommender.index.storage.snapshot import Snapshot
from recommender.models import EmbeddingModel, IndexHead, IndexSnapshot

from .apply_changes import make_empty_snapshot

MAX_FALLBACKS = 2


@dataclass(frozen=True)
class Opened:
    """An open snapshot, and, where it is another than the one that should be served, why."""

    base: Snapshot
    error: str | None = None


def open_head_snapshot(known: Sequence[Segment], *, or_earlier: bool) -> Opened:
    """The head's snapshot; with `or_earlier` the newest earlier one of its lineage that can be used.

    Raises: SnapshotDamaged; IndexNotReady where there is nothing else.
    """
    head = IndexHead.load()
    if head.snapshot is None:
        return Opened(_make_empty_first_snapshot(head, EmbeddingModel.objects.find_active()))
    try:
        return Opened(_open_checked_snapshot(head.snapshot, head, known))
    except SnapshotDamaged as damage:
        if not or_earlier:
            raise
        for row in lineage.published_snapshots(head.snapshot.model_id).exclude(pk=head.snapshot.pk)[:MAX_FALLBACKS]:
            with suppress(SnapshotDamaged):
                return Opened(_open_checked_snapshot(row, head, known), f"serving snapshot {row.pk}, because {damage}")
        if isinstance(damage, SnapshotUnreadable):
            raise IndexNotReady(str(damage)) from damage
        raise IndexNotReady(f"{damage}; waiting for the indexing worker to rebuild") from damage


def open_newest_snapshot(model_id: int, known: Sequence[Segment]) -> Opened:
    """The newest snapshot of a model's lineage. Raises: SnapshotDamaged, IndexNotReady."""
    head = IndexHead.load()
    row = lineage.published_snapshots(model_id).first()
    if row is None:
        return Opened(_make_empty_first_snapshot(head, EmbeddingModel.objects.filter(pk=model_id).first()))
    return Opened(_open_checked_snapshot(row, head, known))


def open_successor_with_embedder(serving: int) -> Opened:
    """The head's snapshot, and its embedder, proven, where photos are searched with under the model `serving` now.

    It is called once the head has been flipped, so a process holds two models at most while it changes over, and
    none that might never answer.
    Raises: SnapshotDamaged, IndexNotReady, ModelNotReady.
    """
    opened = open_head_snapshot((), or_earlier=False)
    get_model_hooks().prepare_successor_embedder(serving, opened.base.model_id)
    return opened


def open_snapshot_in_background(work: Callable[[], Opened]) -> Future[Opened]:
    """Open something on a thread, and so a database connection, of its own."""

    def open_and_disconnect() -> Opened:
        try:
            return work()
        finally:
            connection.close()

    executor = ThreadPoolExecutor(1, thread_name_prefix="index-successor")
    outcome = executor.submit(open_and_disconnect)
    # The executor takes this one job alone: its thread ends with it, and nobody waits for that here.
    executor.shutdown(wait=False)
    return outcome


def _open_checked_snapshot(row: IndexSnapshot, head: IndexHead, known: Sequence[Segment]) -> Snapshot:
    if row.state != IndexSnapshot.State.PUBLISHED:
        raise SnapshotDamaged(f"snapshot {row.pk} is marked {row.state}")
    if feed.is_foreign_to_database(row.position):
        raise SnapshotDamaged(f"snapshot {row.pk} is of another history: it is ahead of the database")
    if not feed.covers_horizon(row.position, head.horizon):
        raise SnapshotDamaged(f"snapshot {row.pk} is behind the pruned part of the feed")
    return snapshot.open_snapshot(row, head.epoch, known)


def _make_empty_first_snapshot(head: IndexHead, model: EmbeddingModel | None) -> Snapshot:
    if model is None:
        raise IndexNotReady("no embedding model is active: run `manage.py models register`")
    if not feed.covers_horizon(feed.ZERO, head.horizon):
        raise IndexNotReady("there is no snapshot yet: the indexing worker builds it")
    return make_empty_snapshot(model, head.epoch, feed.ZERO)
