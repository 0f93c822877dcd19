"""Writes segments and the snapshots made of them: a flush of what changed, a merge, a whole line from rows."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from django.conf import settings

from recommender import feed
from recommender.models import EmbeddingModel

from . import rows, segment
from .absorb import empty_snapshot
from .columns import Columns
from .errors import LeaseLost
from .gate import Refused, examine
from .lease import Lease
from .merge_policy import Size, plan_merge
from .publish import RETAINED, publish
from .snapshot import Part, Snapshot, segment_directory
from .state import State

REBUILD_ROWS = 100_000


def flush(held: Lease, state: State) -> Snapshot:
    """A snapshot that includes the delta: one new exact segment, and the old ones without the changed listings."""
    parts = [_part(part, alive) for part, alive in zip(state.base.parts, state.alive, strict=True) if alive.any()]
    if len(state.delta):
        parts.append(_write(held, state.delta.columns, _delta_vectors(state), state.model_version))
    return publish(held, replace(state.base, position=state.position, parts=tuple(parts)), parent=state.base.id)


def merge_plan(base: Snapshot) -> list[int]:
    sizes = [Size(len(part.segment), int(np.count_nonzero(part.live)), _dead_seconds(part)) for part in base.parts]
    return plan_merge(sizes, purge_seconds())


def merge(held: Lease, base: Snapshot, merging: Sequence[int]) -> Snapshot:
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
    purging = any(part.dead_since is not None and _dead_seconds(part) >= purge_seconds() for part in merged)
    snapshot = replace(base, parts=tuple(kept))
    return publish(held, snapshot, parent=base.id, retained=1 if purging else RETAINED)


def build(held: Lease, model: EmbeddingModel, epoch: uuid.UUID, parent: int | None) -> Snapshot:
    """The model's whole index from rows; only the active model's may be published without passing the gate.

    Raises: Refused, LeaseLost; nothing is left of it then.
    """
    base = empty_snapshot(model, epoch, feed.current_position())
    with _parts() as parts:
        pending: list[tuple[Columns, np.ndarray]] = []
        for page in rows.read_all(model.pk, model.dim):
            held.renew()
            pending.append(page)
            if sum(len(columns) for columns, _ in pending) >= REBUILD_ROWS:
                parts.append(_write_pages(held, pending, model.version))
                pending = []
        if pending:
            parts.append(_write_pages(held, pending, model.version))
        base = replace(base, parts=tuple(parts))
        if model.state != EmbeddingModel.State.ACTIVE:
            examine(base)
        return publish(held, base, parent=parent)


def purge_seconds() -> float:
    return settings.PURGE_DAYS * 86_400


@contextmanager
def _parts() -> Iterator[list[Part]]:
    """Collects what is written; where it turns out to be of no use, its files are deleted."""
    parts: list[Part] = []
    try:
        yield parts
    except (Refused, LeaseLost):
        for part in parts:
            shutil.rmtree(part.segment.directory, ignore_errors=True)
        raise


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


def _dead_seconds(part: Part) -> float:
    return 0.0 if part.dead_since is None else time.time() - part.dead_since


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
