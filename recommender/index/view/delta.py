"""What changed since the snapshot, held in memory: rows of changed listings and the vectors the base does not have.

A row points to its vector: into the chunks here, or, where only attributes changed, into the base segment that has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.index.ann import dot_products
from recommender.index.rows.arrays import HalfVectors, Ids, RowIds, Similarities
from recommender.index.rows.columns import NO_ROWS, Columns

CHUNK_ROWS = 1024


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
        order = np.argsort(columns.listing, kind="stable")  # both are in order, and no listing is in both
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
