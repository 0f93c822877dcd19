"""Keeps the files in step: flushes what changed into a segment, merges segments, rebuilds what is lost.

Every live model has its own line of snapshots. Only the holder of the lease builds; only the compare-and-swap at the
line's tip publishes. The position is taken before the rows are read, so an edit made meanwhile is still in the feed of
whoever reads the new snapshot.
"""

from __future__ import annotations

import logging
import math
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from django.conf import settings
from django.utils import timezone

from recommender import feed, lineage
from recommender.index.errors import IndexNotReady, LeaseLost, SnapshotDamaged, SnapshotUnreadable
from recommender.index.model_hooks import get_model_hooks
from recommender.index.storage.snapshot import Snapshot, missing_files, purge_seconds
from recommender.index.view.reader import Index
from recommender.index.view.state import State
from recommender.models import EmbeddingModel, IndexHead, IndexSnapshot

from .background_merge import MERGE_ERRORS, Merge
from .garbage import collect_garbage
from .lease import Lease, acquire_lease
from .merge_policy import is_advance_due, is_flush_due
from .publish import retire_fallbacks
from .validation import SnapshotRejected
from .write_snapshots import begin_merge, build_from_rows, choose_merge, flush, publish_merge

logger = logging.getLogger(__name__)

MIN_FLUSH_CAPACITY = 50_000
MAX_WAITING_SHARE = (
    20  # one photo in so many may still wait when a model's first snapshot is built; the feed brings them
)
RETRY_SECONDS = 600
FOREGROUND_MERGE_ROWS = 20_000  # a merge of so many takes a second or two


@dataclass(frozen=True)
class Outcome:
    """What a compaction did: `busy`, `nothing`, `flushed`, `merged`, `rebuilt`, `superseded` or `failed`.

    `snapshot` is the one served afterwards.
    """

    actions: tuple[str, ...]
    snapshot: int | None = None


def compact(*, force: bool = False) -> Outcome:
    """Flush and merge what is due (everything, with `force`) for every live model; rebuild where files are damaged, or
    more changed than a flush may hold."""
    return _leased(
        lambda held: [
            action
            for model in EmbeddingModel.objects.live().in_indexing_order()
            for action in _tried(held, model, force=force)
        ]
    )


def rebuild(*, new_epoch: bool = False) -> Outcome:
    """Build every line again from rows alone; `new_epoch` after a restore, when the feed's history changed."""
    return _leased(lambda held: _rebuild_all(held, new_epoch=new_epoch))


def _leased(work: Callable[[Lease], list[str]]) -> Outcome:
    with acquire_lease() as held:
        if held is None:
            return Outcome(("busy",))
        try:
            actions = work(held)
            return Outcome(tuple(actions) or ("nothing",), IndexHead.load().snapshot_id)
        except LeaseLost as exc:
            logger.warning("compaction not published: %s", exc)
            return Outcome(("superseded",))
        except (OSError, SnapshotDamaged) as exc:
            logger.error("the index is left as it is, readers go on with what they have: %s", exc)
            return Outcome(("failed",))
        finally:
            collect_garbage()  # also, and above all, when the disk is full


def _rebuild_all(held: Lease, *, new_epoch: bool) -> list[str]:
    lines = [
        model
        for model in EmbeddingModel.objects.live().in_indexing_order()
        if model.is_active or lineage.published(model.pk).exists()
    ]
    return [
        action
        for model in lines
        for action in _rebuild(held, model, uuid.uuid4() if new_epoch and model == lines[0] else None)
    ]


def _tried(held: Lease, model: EmbeddingModel, *, force: bool) -> list[str]:
    """What ails one model's line stops no other's."""
    try:
        return _compact(held, model, force=force)
    except SnapshotDamaged as exc:
        logger.error("the index of %s is left as it is: %s", model.version, exc)
        return ["failed"]


def _compact(held: Lease, model: EmbeddingModel, *, force: bool) -> list[str]:
    if not _is_live(model):
        return []
    head = IndexHead.load()
    tip = lineage.tip(head, model)
    if tip is None and not model.is_active:
        return _begin(held, model)
    state = _usable_state(held, head, model, tip)
    if state is not None and state.behind:
        words = "more changed than a flush may hold (%s rows, by INDEX_MEMORY_MB): rebuilding the index of %s from rows"
        logger.warning(words, f"{_capacity(model.dim):,}", model.version)
        del _readers[os.getpid(), model.pk]  # what it holds is of no use to what comes
        state = None
    if state is None:
        ahead = tip is not None and feed.is_ahead_of_database(tip.position)
        return _rebuild(held, model, uuid.uuid4() if ahead else None)
    actions: list[str] = []
    base = state.base
    changed = len(state.delta) + _died(state)
    age = (timezone.now() - tip.created_at).total_seconds() if tip else math.inf
    due = is_flush_due(changed, age, settings.INDEX_FLUSH_ROWS) or is_advance_due(feed.length(), age)
    if due or (force and changed):
        base = flush(held, state)
        actions.append("flushed")
    actions += _merge(held, base, force=force)
    retire_fallbacks(model, purge_seconds())
    return actions


_merges: dict[tuple[int, int], Merge] = {}


def stop_merges() -> None:
    """Give up what is being merged in this process, before it ends."""
    for merge in list(_merges.values()):
        merge.stop()


def _merge(held: Lease, base: Snapshot, *, force: bool) -> list[str]:
    """Make few segments of many. What takes long is done on a thread, so that changes are flushed meanwhile, and
    published by a later call; with `force` everything is done here. A failure is tried again much later."""
    key = (os.getpid(), base.model_id)
    if not force and time.monotonic() < _failed.get(key, 0):
        return []
    actions: list[str] = []
    try:
        base = _finish(held, base, key, actions, force=force)
        _merge_due(held, base, key, actions, force=force)
    except LeaseLost:
        raise
    except MERGE_ERRORS as exc:
        logger.error("segments cannot be merged, they are searched one by one: %s", exc)
        _failed[key] = time.monotonic() + RETRY_SECONDS
        actions.append("failed")
    return actions


_failed: dict[tuple[int, int], float] = {}


def _finish(held: Lease, base: Snapshot, key: tuple[int, int], actions: list[str], *, force: bool) -> Snapshot:
    """Publish the merge that has ended; it stays until it is published, came too late, or failed.
    Raises: OSError, SnapshotDamaged."""
    running = _merges.get(key)
    if running is None or not (running.is_done or force):
        return base
    running.wait()
    if running.has_failed:
        del _merges[key]
    try:
        published = publish_merge(held, base, running)
    except SnapshotUnreadable:
        raise
    except SnapshotDamaged:
        _merges.pop(key, None)
        running.discard()
        raise
    _merges.pop(key, None)
    if published is None:
        return base
    actions.append("merged")
    return published


def _merge_due(held: Lease, base: Snapshot, key: tuple[int, int], actions: list[str], *, force: bool) -> None:
    busy = set(_merges[key].sources) if key in _merges else set()
    while merging := choose_merge(base, busy):
        names = {base.parts[number].segment.name for number in merging}
        is_long = (
            not force and sum(np.count_nonzero(base.parts[number].live) for number in merging) > FOREGROUND_MERGE_ROWS
        )
        if is_long:
            busy |= names  # the small ones are merged all the same
            if key not in _merges:
                merge = begin_merge(held, base, merging)
                merge.start_in_background()
                _merges[key] = merge
            continue
        merge = begin_merge(held, base, merging)
        try:
            merge.run(held.renew_if_due)
            base = publish_merge(held, base, merge) or base
        except (LeaseLost, *MERGE_ERRORS):
            merge.discard()
            raise
        actions.append("merged")


def _begin(held: Lease, model: EmbeddingModel) -> list[str]:
    """Build a model's first snapshot once nearly every photo is embedded."""
    counted = get_model_hooks().count_photos(model)
    return [] if counted.waiting * MAX_WAITING_SHARE > counted.photos else _rebuild(held, model)


_refused: dict[int, float] = {}


def _rebuild(held: Lease, model: EmbeddingModel, epoch: uuid.UUID | None = None) -> list[str]:
    """`epoch` begins a new history; else the head's goes on. What the gate refuses is tried again much later."""
    if not _is_live(model) or time.monotonic() < _refused.get(model.pk, 0):
        return []
    head = IndexHead.load()
    tip = lineage.tip(head, model)
    try:
        build_from_rows(held, model, epoch or head.epoch, parent=tip.pk if tip else None)
    except SnapshotRejected as exc:
        logger.error("a snapshot is not published: %s", exc)
        _refused[model.pk] = time.monotonic() + RETRY_SECONDS
        return []
    return ["rebuilt"]


def _usable_state(held: Lease, head: IndexHead, model: EmbeddingModel, tip: IndexSnapshot | None) -> State | None:
    """The state over the line's tip, caught up; None, with the reason logged, where it must be rebuilt.

    Raises: SnapshotUnreadable where the fault is this process's.
    Only the compactor marks a snapshot damaged, after looking at the files itself.
    """
    if tip is not None and tip.model_id != model.pk:
        logger.warning("model %s is active, snapshot %s is of another: rebuilding", model.version, tip.pk)
        return None
    tip_id = tip.pk if tip else None
    reader = _reader(model)
    try:
        reader.refresh(held.renew_if_due)
        state = reader.state()
        if state.base.id != tip_id:
            raise SnapshotDamaged(f"snapshot {tip_id} cannot be opened: {reader.health()['problem']}")
        for path in missing_files(state.base):
            raise SnapshotDamaged(f"{path} is missing")
    except SnapshotUnreadable:
        raise
    except (SnapshotDamaged, IndexNotReady) as exc:
        logger.warning("rebuilding the index of %s: %s", model.version, exc)
        now = lineage.tip(IndexHead.load(), model)
        if tip is not None and now == tip:  # not replaced meanwhile
            IndexSnapshot.objects.filter(pk=tip.pk).update(state=IndexSnapshot.State.DAMAGED)
        return None
    return state


_readers: dict[tuple[int, int], Index] = {}


def _reader(model: EmbeddingModel) -> Index:
    """This process's own view of a line, kept between compactions so that each reads only what changed."""
    live = {(os.getpid(), live.pk) for live in EmbeddingModel.objects.live()}
    for key in set(_readers) - live:
        del _readers[key]
    for key in set(_merges) - live:
        _merges.pop(key).stop()
    return _readers.setdefault((os.getpid(), model.pk), Index(_capacity(model.dim), line=model.pk))


def _capacity(dim: int) -> int:
    """Rows that a flush may hold: as many as have room for their vectors in half of the memory for building."""
    return max(MIN_FLUSH_CAPACITY, (settings.INDEX_MEMORY_MB << 20) // 2 // (dim * 2))


def _is_live(model: EmbeddingModel) -> bool:
    """Whether it still is, and its state as it is now: the lines before this one may have taken minutes."""
    model.refresh_from_db(fields=["state"])
    return model.is_live


def _died(state: State) -> int:
    return sum(
        int(np.count_nonzero(part.live & ~live_rows.mask))
        for part, live_rows in zip(state.base.parts, state.live_rows, strict=True)
    )
