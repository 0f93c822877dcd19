"""Takes changed listings into a state: their rows as the database has them now, whatever the change was."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from recommender.index.rows.arrays import Ids, RowIds
from recommender.index.rows.columns import Columns
from recommender.index.rows.row_bitmap import LiveRows
from recommender.index.storage.snapshot import Part, Snapshot
from recommender.models import EmbeddingModel

from . import database_rows
from .state import Delta, State


def make_empty_snapshot(model: EmbeddingModel, epoch: uuid.UUID, position: str) -> Snapshot:
    """What every history begins with: nothing, at the beginning of the feed."""
    return Snapshot(None, None, epoch, model.pk, model.version, model.dim, position, ())


def make_state(base: Snapshot, before: State | None = None) -> State:
    """A state without changes; what the one before knows of rows that stand as they stood is taken over."""
    known = (
        dict(zip((part.segment.name for part in before.base.parts), before.live_rows, strict=True)) if before else {}
    )
    live_rows = tuple(_live_rows_of(part, known.get(part.segment.name)) for part in base.parts)
    return State(base, live_rows, Delta.empty(base.dim), base.position)


def _live_rows_of(part: Part, before: LiveRows | None) -> LiveRows:
    return before if before is not None and np.array_equal(before.mask, part.live) else LiveRows(part.live)


def apply_changes(state: State, listing_ids: Collection[int], revectored: Collection[int]) -> State:
    """The state in which these listings are exactly as the database has them; two queries.

    `revectored` are those whose vectors changed; for the others a vector that is known already is not read again.
    """
    ids = np.array(sorted(listing_ids), np.int64)
    columns = database_rows.read_columns(state.model_id, listing_ids)
    slot, part, row = _find_vectors(state, ids, columns)
    unknown = ((slot < 0) & (part < 0)) | np.isin(columns.listing, list(revectored))
    slot[unknown], part[unknown], row[unknown] = -1, -1, -1
    chunks = state.delta.chunks
    vectors = (
        database_rows.read_vectors(state.model_id, columns.image[unknown].tolist(), state.dim) if unknown.any() else {}
    )
    fresh = np.array([image in vectors for image in columns.image.tolist()], bool) & unknown
    slot[fresh] = chunks.append(np.array([vectors[image] for image in columns.image[fresh].tolist()]))
    present = fresh | ~unknown
    new = Delta(columns.select_rows(present), slot[present], part[present], row[present], chunks)
    return replace(state, live_rows=_live_rows_without_listings(state, ids), delta=state.delta.with_listings(ids, new))


def _find_vectors(state: State, ids: Ids, columns: Columns) -> tuple[RowIds, RowIds, RowIds]:
    """(slot, part, row) int64[n] each of the vectors the state has for these rows; -1 where it has none."""
    known: dict[tuple[int, int], tuple[int, int, int]] = {}
    for number, (part, live_rows) in enumerate(zip(state.base.parts, state.live_rows, strict=True)):
        held = part.segment.columns
        at = held.rows_of(ids)
        # Rows of a listing that changed before are not live. Their vectors count only where the delta points to them.
        at = at[live_rows.mask[at]]
        for listing, image, row in zip(held.listing[at].tolist(), held.image[at].tolist(), at.tolist(), strict=True):
            known[listing, image] = (-1, number, row)
    delta = state.delta
    for at in delta.columns.rows_of(ids).tolist():
        key = (int(delta.columns.listing[at]), int(delta.columns.image[at]))
        known[key] = (int(delta.slot[at]), int(delta.part[at]), int(delta.row[at]))
    keys = zip(columns.listing.tolist(), columns.image.tolist(), strict=True)
    places = np.array([known.get(key, (-1, -1, -1)) for key in keys], np.int64).reshape(-1, 3)
    return places[:, 0].copy(), places[:, 1].copy(), places[:, 2].copy()


def _live_rows_without_listings(state: State, ids: Ids) -> tuple[LiveRows, ...]:
    """What stands without these listings; what does not change is shared."""
    pairs = zip(state.base.parts, state.live_rows, strict=True)
    return tuple(live_rows.without_rows(part.segment.columns.rows_of(ids)) for part, live_rows in pairs)
