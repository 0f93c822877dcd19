"""Keeps the files in step: flushes what changed into a segment, merges segments, rebuilds what is lost.

Only the holder of the lease builds; only the compare-and-swap on the head publishes. The position is taken before the
rows are read, so an edit made meanwhile is still in the feed of whoever reads the new snapshot.
"""

from __future__ import annotations

import logging
import math
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from django.conf import settings
from django.utils import timezone

from recommender import feed
from recommender.models import EmbeddingModel, IndexHead, IndexSnapshot

from . import rows, segment
from .absorb import empty_snapshot
from .collect import collect
from .columns import Columns
from .errors import IndexNotReady, LeaseLost, SnapshotDamaged
from .lease import Lease, lease
from .merge_policy import Size, flush_due, plan_merge
from .publish import RETAINED, publish, retire_fallbacks
from .reader import Index
from .snapshot import Part, Snapshot, missing_files, segment_directory
from .state import State

logger = logging.getLogger(__name__)

FLUSH_CAPACITY = 50_000
REBUILD_ROWS = 100_000


@dataclass(frozen=True)
class Outcome:
    """What a compaction did: `busy`, `nothing`, `flushed`, `merged`, `rebuilt`, `superseded` or `failed`."""

    actions: tuple[str, ...]
    snapshot: int | None = None


def compact(*, force: bool = False) -> Outcome:
    """Flush and merge what is due (everything, with `force`); rebuild where the files cannot be used."""
    with lease() as held:
        if held is None:
            return Outcome(("busy",))
        try:
            return _compact(held, force=force)
        except LeaseLost as exc:
            logger.warning("compaction not published: %s", exc)
            return Outcome(("superseded",))
        except OSError as exc:
            logger.error("the index cannot be written, readers go on with what they have: %s", exc)
            return Outcome(("failed",))


def rebuild(*, new_epoch: bool = False) -> Outcome:
    """Build the active model's index from rows alone; `new_epoch` after a restore, when the feed's history changed."""
    with lease() as held:
        if held is None:
            return Outcome(("busy",))
        head = IndexHead.objects.get(pk=1)
        epoch = uuid.uuid4() if new_epoch else head.epoch
        return Outcome(("rebuilt",), _rebuild(held, head, epoch))


def _compact(held: Lease, *, force: bool) -> Outcome:
    head = IndexHead.objects.select_related("snapshot__model").get(pk=1)
    model = EmbeddingModel.objects.filter(state=EmbeddingModel.State.ACTIVE).first()
    if model is None:
        return Outcome(("nothing",))
    state = _usable_state(head, model)
    if state is None or state.behind:
        ahead = head.snapshot is not None and feed.is_ahead_of_database(head.snapshot.position)
        return Outcome(("rebuilt",), _rebuild(held, head, uuid.uuid4() if ahead else head.epoch))
    actions: list[str] = []
    base = state.base
    changed = len(state.delta) + _died(state)
    age = (timezone.now() - head.snapshot.created_at).total_seconds() if head.snapshot else math.inf
    if (force and changed) or flush_due(changed, age, settings.INDEX_FLUSH_ROWS):
        base = _flush(held, head, state)
        actions.append("flushed")
    while merging := _merge_plan(base):
        base = _merge(held, base, merging)
        actions.append("merged")
    retire_fallbacks(_purge_seconds())
    collect()
    return Outcome(tuple(actions) or ("nothing",), base.id)


def _usable_state(head: IndexHead, model: EmbeddingModel) -> State | None:
    """The state over the head's own snapshot, caught up; None, with the reason logged, where it must be rebuilt.

    Only the compactor marks a snapshot damaged, after looking at the files itself.
    """
    if head.snapshot is not None and head.snapshot.model_id != model.pk:
        logger.warning("model %s is active, snapshot %s is of another: rebuilding", model.version, head.snapshot_id)
        return None
    reader = _reader()
    try:
        reader.refresh()
        state = reader.state()
        if state.base.id != head.snapshot_id:
            raise SnapshotDamaged(f"snapshot {head.snapshot_id} cannot be opened: {reader.health()['problem']}")
        for path in missing_files(state.base):
            raise SnapshotDamaged(f"{path} is missing")
    except (SnapshotDamaged, IndexNotReady) as exc:
        logger.warning("rebuilding the index: %s", exc)
        if head.snapshot and IndexHead.objects.filter(pk=1, snapshot=head.snapshot).exists():  # not replaced meanwhile
            IndexSnapshot.objects.filter(pk=head.snapshot.pk).update(state=IndexSnapshot.State.DAMAGED)
        return None
    return state


_readers: dict[int, Index] = {}


def _reader() -> Index:
    """This process's own view, kept between compactions so that each reads only what changed."""
    return _readers.setdefault(os.getpid(), Index(FLUSH_CAPACITY))


def _died(state: State) -> int:
    return sum(
        int(np.count_nonzero(part.live & ~alive)) for part, alive in zip(state.base.parts, state.alive, strict=True)
    )


def _flush(held: Lease, head: IndexHead, state: State) -> Snapshot:
    """A snapshot that includes the delta: one new exact segment, and the old ones without the changed listings."""
    parts = [_part(part, alive) for part, alive in zip(state.base.parts, state.alive, strict=True) if alive.any()]
    if len(state.delta):
        parts.append(_write(held, state.delta.columns, _delta_vectors(state), state.model_version))
    return publish(held, replace(state.base, position=state.position, parts=tuple(parts)), parent=head.snapshot_id)


def _part(part: Part, alive: np.ndarray) -> Part:
    dead_since = part.dead_since
    if dead_since is None and not alive.all():
        dead_since = time.time()
    return Part(part.segment, alive, dead_since)


def _delta_vectors(state: State) -> np.ndarray:
    """float16[n, dim]: each delta row's vector, from the chunks or copied from the segment that has it."""
    delta = state.delta
    vectors = np.empty((len(delta), state.dim), np.float16)
    own = delta.slot >= 0
    vectors[own] = delta.chunks.take(delta.slot[own])
    for number, part in enumerate(state.base.parts):
        at = delta.part == number
        vectors[at] = part.segment.vectors[delta.row[at]]
    return vectors


def _merge_plan(base: Snapshot) -> list[int]:
    sizes = [Size(len(part.segment), int(np.count_nonzero(part.live)), _dead_seconds(part)) for part in base.parts]
    return plan_merge(sizes, _purge_seconds())


def _dead_seconds(part: Part) -> float:
    return 0.0 if part.dead_since is None else time.time() - part.dead_since


def _purge_seconds() -> float:
    return settings.PURGE_DAYS * 86_400


def _merge(held: Lease, base: Snapshot, merging: Sequence[int]) -> Snapshot:
    """A snapshot in which these segments are one, without dead rows; vectors are copied from the segments.

    Where dead rows were due to leave the disk, the earlier snapshots that still name the old files are retired too.
    """
    merged = [base.parts[number] for number in merging]
    kept = [part for number, part in enumerate(base.parts) if number not in merging]
    columns = Columns.concatenate([part.segment.columns.take(part.live) for part in merged])
    if len(columns):
        vectors = np.concatenate([part.segment.vectors[part.live] for part in merged])
        order = columns.order()
        kept.append(_write(held, columns.take(order), vectors[order], base.model_version))
    purging = any(part.dead_since is not None and _dead_seconds(part) >= _purge_seconds() for part in merged)
    snapshot = replace(base, parts=tuple(kept))
    return publish(held, snapshot, parent=base.id, retained=1 if purging else RETAINED)


def _rebuild(held: Lease, head: IndexHead, epoch: uuid.UUID) -> int | None:
    model = EmbeddingModel.objects.get(state=EmbeddingModel.State.ACTIVE)
    base = empty_snapshot(model, epoch, feed.current_position())
    parts: list[Part] = []
    pending: list[tuple[Columns, np.ndarray]] = []
    for page in rows.read_all(model.pk, model.dim):
        held.renew()
        pending.append(page)
        if sum(len(columns) for columns, _ in pending) >= REBUILD_ROWS:
            parts.append(_write_pages(held, pending, model.version))
            pending = []
    if pending:
        parts.append(_write_pages(held, pending, model.version))
    return publish(held, replace(base, parts=tuple(parts)), parent=head.snapshot_id).id


def _write_pages(held: Lease, pages: Sequence[tuple[Columns, np.ndarray]], model: str) -> Part:
    columns = Columns.concatenate([columns for columns, _ in pages])
    return _write(held, columns, np.concatenate([vectors for _, vectors in pages]), model)


def _write(held: Lease, columns: Columns, vectors: np.ndarray, model: str) -> Part:
    """Write a segment whose directory's name carries the lease's token."""
    held.renew()
    name = f"{held.token.hex[:12]}-{uuid.uuid4().hex[:8]}"
    segment.write(segment_directory(name), columns, vectors, model)
    written = segment.load(segment_directory(name), model)
    return Part(written, np.ones(len(written), bool))
