"""What changed since the snapshot, held in memory: rows of changed listings and the vectors the base does not have.

A row points to its vector: into the chunks here, or, where only attributes changed, into the base segment that has it.
Chunks are shared by successive deltas and only appended to; a delta never looks past the slots it knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from recommender.index.ann import dot_products
from recommender.index.rows.columns import Columns

CHUNK_ROWS = 1024


@dataclass(frozen=True)
class VectorChunks:
    """An append-only store of float16[dim] vectors by slot. One writer; readers hold slots they were given."""

    dim: int
    chunks: list[np.ndarray] = field(default_factory=list)
    used: list[int] = field(default_factory=lambda: [0])

    def __len__(self) -> int:
        return self.used[0]

    def append(self, vectors: np.ndarray) -> np.ndarray:
        """Store float16[n, dim]; returns their slots, int64[n]."""
        first = self.used[0]
        for offset, vector in enumerate(vectors):
            slot = first + offset
            if slot == len(self.chunks) * CHUNK_ROWS:
                self.chunks.append(np.zeros((CHUNK_ROWS, self.dim), np.float16))
            self.chunks[slot // CHUNK_ROWS][slot % CHUNK_ROWS] = vector
        self.used[0] = first + len(vectors)
        return np.arange(first, first + len(vectors))

    def scores(self, queries: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """float32[m, n]: inner products of float16[m, dim] with the vectors in these slots."""
        if len(slots) == 0:
            return np.empty((len(queries), 0), np.float32)
        needed = range(int(slots.max()) // CHUNK_ROWS + 1)
        products = [dot_products.inner_products(queries, self.chunks[number]) for number in needed]
        return np.concatenate(products, axis=1)[:, slots]

    def take(self, slots: np.ndarray) -> np.ndarray:
        """float16[n, dim], copied."""
        if len(slots) == 0:
            return np.empty((0, self.dim), np.float16)
        return np.stack([self.chunks[slot // CHUNK_ROWS][slot % CHUNK_ROWS] for slot in slots.tolist()])


@dataclass(frozen=True)
class Delta:
    """`slot` int64[n] into the chunks, or -1; then `part`, `row` int64[n] say where in the base the vector is."""

    columns: Columns
    slot: np.ndarray
    part: np.ndarray
    row: np.ndarray
    chunks: VectorChunks

    def __len__(self) -> int:
        return len(self.columns)

    @classmethod
    def empty(cls, dim: int) -> Delta:
        nothing = np.empty(0, np.int64)
        return cls(Columns.empty(), nothing, nothing, nothing, VectorChunks(dim))

    def replace(self, listing_ids: np.ndarray, new: Delta) -> Delta:
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

    def repacked(self) -> Delta:
        """The same rows over fresh chunks that hold no vector nobody points to."""
        own = np.flatnonzero(self.slot >= 0)
        chunks = VectorChunks(self.chunks.dim)
        slot = self.slot.copy()
        for first in range(0, len(own), CHUNK_ROWS):
            some = own[first : first + CHUNK_ROWS]
            slot[some] = chunks.append(self.chunks.take(self.slot[some]))
        return Delta(self.columns, slot, self.part, self.row, chunks)
