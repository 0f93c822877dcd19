"""Writes segments and the snapshots made of them: a flush of what changed, a merge, a whole line from rows."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from recommender import feed
from recommender.index.errors import LeaseLost, SnapshotDamaged
from recommender.index.rows.columns import Columns
from recommender.index.rows.vector_file import BLOCK
from recommender.index.storage import segment
from recommender.index.storage.snapshot import Part, Snapshot, purge_seconds, segment_directory
from recommender.index.view import database_rows
from recommender.index.view.apply_changes import empty_snapshot
from recommender.index.view.state import State
from recommender.models import EmbeddingModel

from .background_merge import Merge
from .lease import Lease
from .merge_policy import SegmentSize, plan_merge
from .publish import RETAINED_SNAPSHOTS, publish
from .validation import SnapshotRejected, validate_before_publish

PURGE_MARGIN = 0.9  # of the purge deadline: rewriting a large segment takes its time


def flush(held: Lease, state: State) -> Snapshot:
    """A snapshot that includes the delta: one new segment, and the old ones without the changed listings.

    Nothing is trained for it: what it takes depends on what changed alone, and nothing but the disk can refuse it.
    """
    pairs = zip(state.base.parts, state.live_rows, strict=True)
    parts = [_with_live_rows(part, live_rows.mask) for part, live_rows in pairs if live_rows.count]
    written = []
    if len(state.delta):
        pages = _read_delta_pages(state)
        written.append(_write_segment(held, pages, len(state.delta), state.dim, state.model_version, train=False))
    with _removed_unless_published(written):
        snapshot = replace(state.base, position=state.position, parts=(*parts, *written))
        return publish(held, snapshot, parent=state.base.id)


def choose_merge(base: Snapshot, busy: Collection[str] = ()) -> list[int]:
    """Numbers of the segments to make one; none of those named in `busy`, which are being merged already."""
    free = [number for number, part in enumerate(base.parts) if part.segment.name not in busy]
    sizes = [_measure_size(base.parts[number]) for number in free]
    return [free[place] for place in plan_merge(sizes, PURGE_MARGIN * purge_seconds())]


def begin_merge(held: Lease, base: Snapshot, merging: Sequence[int]) -> Merge:
    return Merge(base, merging, _new_name(held))


def publish_merge(held: Lease, base: Snapshot, merge: Merge) -> Snapshot | None:
    """The snapshot in which a finished merge stands for its sources; None, its files removed, where it came too late.

    Where dead rows were due to leave the disk, the earlier snapshots that still name the old files are retired too.
    Raises: LeaseLost, OSError, SnapshotDamaged.
    """
    merged = merge.rebase_on(base)
    if merged is None:
        merge.discard()
        return None
    replaced = [part for part in base.parts if part.segment.name in merge.sources]
    purging = any(
        part.dead_since is not None and part.dead_seconds >= PURGE_MARGIN * purge_seconds() for part in replaced
    )
    return publish(held, merged, parent=base.id, retained=1 if purging else RETAINED_SNAPSHOTS)


def build_from_rows(held: Lease, model: EmbeddingModel, epoch: uuid.UUID, parent: int | None) -> Snapshot:
    """The model's whole index from rows; only the active model's may be published without passing the gate.

    Raises: Refused, LeaseLost; nothing is left of it then.
    """
    base = empty_snapshot(model, epoch, feed.current_position())
    expected = database_rows.searchable(model.pk).count()
    pages = database_rows.read_all(model.pk, model.dim)
    part = _write_segment(held, pages, expected, model.dim, model.version)
    with _removed_unless_published([part]):
        base = replace(base, parts=(part,) if len(part.segment) else ())
        if not model.is_active:
            validate_before_publish(base)
        return publish(held, base, parent=parent)


@contextmanager
def _removed_unless_published(written: Sequence[Part]) -> Iterator[None]:
    """Where nothing comes to name what was written, its files are deleted; not when the database fails: the commit may
    have happened."""
    try:
        yield
    except (SnapshotRejected, LeaseLost, OSError):
        for part in written:
            shutil.rmtree(part.segment.directory, ignore_errors=True)
        raise


def _measure_size(part: Part) -> SegmentSize:
    live = int(np.count_nonzero(part.live))
    return SegmentSize(len(part.segment), live, part.dead_seconds, untrained=part.segment.untrained)


def _with_live_rows(part: Part, alive: np.ndarray) -> Part:
    dead_since = part.dead_since
    if dead_since is None and not alive.all():
        dead_since = time.time()
    return Part(part.segment, alive, dead_since)


def _read_delta_pages(state: State) -> Iterator[tuple[Columns, np.ndarray]]:
    """The delta's rows, a block at a time: (columns, float16[b, dim]), each vector from the chunks or copied from the
    segment that has it."""
    delta = state.delta
    for first in range(0, len(delta), BLOCK):
        block = np.arange(first, min(first + BLOCK, len(delta)))
        slot, part, row = delta.slot[block], delta.part[block], delta.row[block]
        vectors = np.empty((len(slot), state.dim), np.float16)
        vectors[slot >= 0] = delta.chunks.take(slot[slot >= 0])
        for number, held in enumerate(state.base.parts):
            at = part == number
            vectors[at] = held.segment.vectors[row[at]]
        yield delta.columns.take(block), vectors


def _new_name(held: Lease) -> str:
    """A directory's name that carries the lease's token."""
    return f"{held.token.hex[:12]}-{uuid.uuid4().hex[:8]}"


def _write_segment(
    held: Lease, pages: Iterable[tuple[Columns, np.ndarray]], expected: int, dim: int, model: str, *, train: bool = True
) -> Part:
    held.renew()
    directory = segment_directory(_new_name(held))
    segment.write(directory, pages, expected=expected, dim=dim, model=model, tick=held.renew_if_due, train=train)
    try:
        written = segment.load(directory, model)
    except SnapshotDamaged:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return Part(written, np.ones(len(written), bool))
