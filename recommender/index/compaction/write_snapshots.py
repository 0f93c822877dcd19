"""Writes segments and the snapshots made of them: a flush of what changed, a merge, a whole index from rows."""

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
from recommender.index.rows.arrays import HalfVectors, Mask
from recommender.index.rows.columns import Columns
from recommender.index.rows.vector_file import BLOCK_ROWS
from recommender.index.storage import segment
from recommender.index.storage.snapshot import Part, Snapshot, purge_seconds, segment_directory
from recommender.index.view import database_rows
from recommender.index.view.apply_changes import make_empty_snapshot
from recommender.index.view.state import State
from recommender.models import EmbeddingModel

from .background_merge import Merge
from .lease import CompactorLease
from .merge_policy import SegmentSize, plan_merge
from .publish import RETAINED_SNAPSHOTS, publish_snapshot
from .validation import SnapshotRejected, validate_snapshot

# Segments with dead rows are rewritten after this share of the time for the purge, because rewriting a large one takes
# a while and should be over by then.
PURGE_MARGIN = 0.9

RowPage = tuple[Columns, HalfVectors]


def flush_delta_and_publish(lease: CompactorLease, state: State) -> Snapshot:
    """Publish a snapshot that includes the delta: one new segment, and the old ones without the changed listings.

    Nothing is trained for the new segment. So a flush takes time for what changed and nothing else, and only a full
    disk can stop it.
    """
    pairs = zip(state.base.parts, state.live_rows, strict=True)
    parts = [_with_live_rows(part, live_rows.mask) for part, live_rows in pairs if live_rows.count]
    written = []
    if len(state.delta):
        pages = _read_delta_pages(state)
        written.append(
            _write_and_open_segment(lease, pages, len(state.delta), state.dim, state.model_version, train=False)
        )
    with _delete_files_unless_published(written):
        snapshot = replace(state.base, position=state.position, parts=(*parts, *written))
        return publish_snapshot(lease, snapshot, parent=state.base.id)


def choose_merge(base: Snapshot, busy: Collection[str] = ()) -> list[int]:
    """The numbers of the parts whose segments are to become one; none of those named in `busy`."""
    free = [number for number, part in enumerate(base.parts) if part.segment.name not in busy]
    sizes = [_measure_size(base.parts[number]) for number in free]
    return [free[place] for place in plan_merge(sizes, PURGE_MARGIN * purge_seconds())]


def make_merge(lease: CompactorLease, base: Snapshot, numbers: Sequence[int]) -> Merge:
    return Merge(base, numbers, lease.new_directory_name())


def publish_merge(lease: CompactorLease, base: Snapshot, merge: Merge) -> Snapshot | None:
    """Publish the snapshot in which a finished merge replaces its sources.

    None where the merge came too late; its files are removed then. Raises: LeaseLost, OSError, SnapshotDamaged.
    """
    merged = merge.replace_sources_in(base)
    if merged is None:
        merge.remove_files()
        return None
    # Where dead rows were due to leave the disk, the earlier snapshots go too, because they name the old files.
    replaced = [part for part in base.parts if part.segment.name in merge.sources]
    is_purge = any(
        part.dead_since is not None and part.dead_seconds >= PURGE_MARGIN * purge_seconds() for part in replaced
    )
    return publish_snapshot(lease, merged, parent=base.id, retained=1 if is_purge else RETAINED_SNAPSHOTS)


def build_and_publish_index_from_rows(
    lease: CompactorLease, model: EmbeddingModel, epoch: uuid.UUID, parent: int | None
) -> Snapshot:
    """Publish the model's whole index, built from rows; nothing is left of it where it cannot be published.

    Raises: SnapshotRejected, LeaseLost.
    """
    base = make_empty_snapshot(model, epoch, feed.current_position())
    expected = database_rows.find_searchable_embeddings(model.pk).count()
    pages = database_rows.read_all_pages(model.pk, model.dim)
    part = _write_and_open_segment(lease, pages, expected, model.dim, model.version)
    with _delete_files_unless_published([part]):
        base = replace(base, parts=(part,) if len(part.segment) else ())
        # Visitors may be waiting for the active model's index. That of any other model can wait until it is right.
        if not model.is_active:
            validate_snapshot(base)
        return publish_snapshot(lease, base, parent=parent)


@contextmanager
def _delete_files_unless_published(written: Sequence[Part]) -> Iterator[None]:
    """Delete the files of these parts where certainly no snapshot came to name them.

    They stay when the database fails: the commit may have happened.
    """
    try:
        yield
    except (SnapshotRejected, LeaseLost, OSError):
        for part in written:
            shutil.rmtree(part.segment.directory, ignore_errors=True)
        raise


def _measure_size(part: Part) -> SegmentSize:
    live = int(np.count_nonzero(part.live))
    return SegmentSize(len(part.segment), live, part.dead_seconds, untrained=part.segment.untrained)


def _with_live_rows(part: Part, live: Mask) -> Part:
    dead_since = part.dead_since
    if dead_since is None and not live.all():
        dead_since = time.time()
    return Part(part.segment, live, dead_since)


def _read_delta_pages(state: State) -> Iterator[RowPage]:
    """The rows of the delta, a block at a time: (columns of b rows, float16[b, dim])."""
    delta = state.delta
    for first in range(0, len(delta), BLOCK_ROWS):
        block = np.arange(first, min(first + BLOCK_ROWS, len(delta)))
        slot, part, row = delta.slot[block], delta.part[block], delta.row[block]
        # The chunks of the delta hold only new vectors. Where columns alone changed, the vector is still in its
        # segment.
        vectors = np.empty((len(slot), state.dim), np.float16)
        vectors[slot >= 0] = delta.chunks.copy_vectors(slot[slot >= 0])
        for number, source in enumerate(state.base.parts):
            at = part == number
            vectors[at] = source.segment.vectors[row[at]]
        yield delta.columns.select_rows(block), vectors


def _write_and_open_segment(
    lease: CompactorLease, pages: Iterable[RowPage], expected: int, dim: int, model: str, *, train: bool = True
) -> Part:
    """Write a segment and open it again, so that a snapshot only ever names files that could be read once."""
    lease.renew()
    directory = segment_directory(lease.new_directory_name())
    segment.write_segment(
        directory, pages, expected=expected, dim=dim, model=model, tick=lease.renew_if_due, train=train
    )
    try:
        written = segment.open_segment(directory, model)
    except SnapshotDamaged:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return Part(written, np.ones(len(written), bool))
