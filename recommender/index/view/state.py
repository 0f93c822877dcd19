"""What a search looks at: one immutable state of the index, which is a snapshot and the changes since, the delta.

A listing lives in exactly one place: in the delta if it changed since the snapshot, else in one segment of it.
A delta row points to its vector: into the chunks here, or, where only attributes changed, into a segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recommender.index.ann import dot_products
from recommender.index.rows.arrays import HalfVectors, Ids, RowIds, Similarities
from recommender.index.rows.columns import NO_ROWS, Columns
from recommender.index.rows.row_bitmap import LiveRows
from recommender.index.storage.snapshot import Snapshot

CHUNK_ROWS = 1024
DELTA = -1  # a number below those of the parts, so that the delta can stand among them in an array


class VectorChunks:
    """An append-only store of float16[dim] vectors, each found again by the slot it was put in.

    Successive deltas share one store. One thread appends to it while others read: that needs no lock, as a reader knows
    only slots that were filled before its delta was made, and neither a filled slot nor a chunk is ever moved.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._chunks: list[HalfVectors] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, vectors: HalfVectors) -> RowIds:
        """Store float16[n, dim]; returns their slots, int64[n]."""
        first = self._count
        for slot, vector in enumerate(vectors, first):
            if slot == len(self._chunks) * CHUNK_ROWS:
                self._chunks.append(np.zeros((CHUNK_ROWS, self.dim), np.float16))
            self._chunks[slot // CHUNK_ROWS][slot % CHUNK_ROWS] = vector
        self._count = first + len(vectors)
        return np.arange(first, self._count)

    def inner_products(self, queries: HalfVectors, slots: RowIds) -> Similarities:
        """float32[m, n] of float16[m, dim] with the vectors in n slots."""
        if len(slots) == 0:
            return np.empty((len(queries), 0), np.float32)
        needed = range(int(slots.max()) // CHUNK_ROWS + 1)
        products = [dot_products.inner_products(queries, self._chunks[number]) for number in needed]
        return np.concatenate(products, axis=1)[:, slots]

    def copy_vectors(self, slots: RowIds) -> HalfVectors:
        """float16[n, dim]"""
        if len(slots) == 0:
            return np.empty((0, self.dim), np.float16)
        return np.stack([self._chunks[slot // CHUNK_ROWS][slot % CHUNK_ROWS] for slot in slots.tolist()])


@dataclass(frozen=True)
class Delta:
    """`slot` int64[n] into the chunks, or -1; then `part`, `row` int64[n] say where in the base the vector is."""

    columns: Columns
    slot: RowIds
    part: RowIds
    row: RowIds
    chunks: VectorChunks

    def __len__(self) -> int:
        return len(self.columns)

    @classmethod
    def empty(cls, dim: int) -> Delta:
        return cls(Columns.empty(), NO_ROWS, NO_ROWS, NO_ROWS, VectorChunks(dim))

    def with_listings(self, listing_ids: Ids, new: Delta) -> Delta:
        """The delta in which these listings' rows are exactly those of `new`."""
        kept = np.ones(len(self), bool)
        kept[self.columns.rows_of(listing_ids)] = False
        columns = Columns.concatenate([self.columns.select_rows(kept), new.columns])
        # The sort is stable, so that the photos of a listing stay in order: each listing comes from one of the two
        # deltas, which are sorted already.
        order = np.argsort(columns.listing, kind="stable")
        return Delta(
            columns.select_rows(order),
            np.concatenate([self.slot[kept], new.slot])[order],
            np.concatenate([self.part[kept], new.part])[order],
            np.concatenate([self.row[kept], new.row])[order],
            new.chunks,
        )

    def repack_chunks(self) -> Delta:
        """The same rows over new chunks, without the vectors that no row points to any more."""
        own = np.flatnonzero(self.slot >= 0)
        chunks = VectorChunks(self.chunks.dim)
        slot = self.slot.copy()
        for first in range(0, len(own), CHUNK_ROWS):
            some = own[first : first + CHUNK_ROWS]
            slot[some] = chunks.append(self.chunks.copy_vectors(self.slot[some]))
        return Delta(self.columns, slot, self.part, self.row, chunks)


@dataclass(frozen=True)
class State:
    """`live_rows[i]` are the rows of part i that may still be found: live in the snapshot and not of a changed listing.

    `behind` is how many changes of the feed are known but not applied, because the delta is full.
    """

    base: Snapshot
    live_rows: tuple[LiveRows, ...]
    delta: Delta
    position: str
    behind: int = 0

    @property
    def model_id(self) -> int:
        return self.base.model_id

    @property
    def model_version(self) -> str:
        return self.base.model_version

    @property
    def dim(self) -> int:
        return self.base.dim

    @property
    def snapshot_id(self) -> int | None:
        return self.base.id

    @cached_property
    def rows(self) -> int:
        return len(self.delta) + sum(live_rows.count for live_rows in self.live_rows)

    @cached_property
    def rows_per_listing(self) -> float:
        """In the base, dead rows included."""
        listings = sum(part.segment.listings for part in self.base.parts)
        return sum(len(part.segment) for part in self.base.parts) / listings if listings else 1.0

    def columns_of(self, part: int) -> Columns:
        """The columns of one part, or of the delta."""
        return self.delta.columns if part == DELTA else self.base.parts[part].segment.columns

    def read_vectors(self, listing_id: int) -> HalfVectors:
        """float16[m, dim]: those of one listing's searchable photos; m = 0 where there are none."""
        ids, delta = np.array([listing_id]), self.delta
        at = delta.columns.rows_of(ids)
        own, pointing = at[delta.slot[at] >= 0], at[delta.slot[at] < 0]
        found = [delta.chunks.copy_vectors(delta.slot[own])]
        for number, (part, live_rows) in enumerate(zip(self.base.parts, self.live_rows, strict=True)):
            rows = part.segment.columns.rows_of(ids)
            kept = delta.row[pointing[delta.part[pointing] == number]]
            found.append(part.segment.vectors[np.concatenate([rows[live_rows.mask[rows]], kept])])
        return np.concatenate(found)

    def find_changed_rows(self, part: RowIds, row: RowIds) -> tuple[RowIds, RowIds]:
        """(indices among these n rows, rows of the delta): those whose vector is in the base, but whose values are in
        the delta, because only attributes of their listing changed."""
        keys, at = self._pointers
        if not len(keys):
            return NO_ROWS, NO_ROWS
        wanted = _sort_key(part, row)
        nearest = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        hits = np.flatnonzero(keys[nearest] == wanted)
        return hits, at[nearest[hits]]

    @cached_property
    def _pointers(self) -> tuple[RowIds, RowIds]:
        """(sorted keys, delta rows): the delta rows that point into the base."""
        at = np.flatnonzero(self.delta.slot < 0)
        keys = _sort_key(self.delta.part[at], self.delta.row[at])
        order = np.argsort(keys)
        return keys[order], at[order]


def _sort_key(part: RowIds, row: RowIds) -> RowIds:
    """int64[n]: one number for each row of the base; negative for the delta's own rows. No segment has 2^40 rows."""
    return (part.astype(np.int64) << 40) + row
