"""Compares every row of a state with the database: which there are, their columns, and each byte of their vectors."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from recommender.index.rows.arrays import Ids, RowIds
from recommender.index.rows.columns import Columns, column_dtypes
from recommender.index.view import database_rows
from recommender.index.view.state import State

from .difference import Difference

Key = tuple[int, int]  # ids of a listing and its photo, which name a row in the files and in the database alike


def compare_rows(state: State, only: Collection[int | None] | None = None) -> Iterator[Difference]:
    """Every difference between the state's rows and the database's; with `only`, of the rows of these listings.

    Both are read page by page, each page with the indexed rows of the same listings.
    """
    indexed = _IndexedRows.from_state(state)
    compared = [np.zeros(0, np.int64)]
    for expected, vectors in _read_expected_rows(state, only):
        listings = np.unique(expected.listing)
        compared.append(listings)
        yield from _compare_page(indexed, expected, vectors, listings)
    # A listing without a searchable photo in the database is on no page, so its rows are looked for at the end.
    stray = ~np.isin(indexed.columns.listing, np.concatenate(compared))
    for row in np.flatnonzero(stray).tolist():
        key = indexed.key_of(row)
        if only is None or key[0] in only:
            yield _extra_row_difference(key)


@dataclass(frozen=True)
class _IndexedRows:
    """All rows of a state in one table, sorted by listing and photo.

    part, row: where the vector of each is; a part of -1 is the delta, whose row is the slot of the vector
    """

    state: State
    columns: Columns
    part: RowIds
    row: RowIds

    @classmethod
    def from_state(cls, state: State) -> _IndexedRows:
        tables, parts, rows = [], [], []
        for number, (part, live_rows) in enumerate(zip(state.base.parts, state.live_rows, strict=True)):
            at = np.flatnonzero(live_rows.mask)
            tables.append(part.segment.columns.select_rows(at))
            parts.append(np.full(len(at), number))
            rows.append(at)
        delta = state.delta
        tables.append(delta.columns)
        parts.append(delta.part)
        rows.append(np.where(delta.slot >= 0, delta.slot, delta.row))
        columns = Columns.concatenate(tables)
        order = columns.sort_order()
        return cls(state, columns.select_rows(order), np.concatenate(parts)[order], np.concatenate(rows)[order])

    def key_of(self, row: int) -> Key:
        return int(self.columns.listing[row]), int(self.columns.image[row])

    def vector_of(self, row: int) -> bytes:
        part, place = int(self.part[row]), int(self.row[row])
        if part < 0:
            return self.state.delta.chunks.copy_vectors(np.array([place]))[0].tobytes()
        return self.state.base.parts[part].segment.vectors[place].tobytes()


def _read_expected_rows(state: State, only: Collection[int | None] | None) -> Iterator[tuple[Columns, list[bytes]]]:
    """Pages of what the index should hold: columns, and the bytes of each row's vector."""
    if only is None:
        for columns, vectors in database_rows.read_all_pages(state.model_id, state.dim):
            yield columns, [vector.tobytes() for vector in vectors]
        return
    for page in database_rows.split_ids_into_pages([pk for pk in only if pk is not None]):
        columns = database_rows.read_columns(state.model_id, page)
        stored = database_rows.read_vectors(state.model_id, columns.image.tolist(), state.dim)
        yield columns, [stored[image].tobytes() if image in stored else b"" for image in columns.image.tolist()]


def _compare_page(
    indexed: _IndexedRows, expected: Columns, vectors: list[bytes], listings: Ids
) -> Iterator[Difference]:
    rows: dict[Key, int] = {}
    for row in indexed.columns.rows_of(listings).tolist():
        key = indexed.key_of(row)
        if key in rows:
            yield Difference("doubled", *key, "the row is in the index twice")
        rows[key] = row
    for number, vector in enumerate(vectors):
        key = (int(expected.listing[number]), int(expected.image[number]))
        if key in rows:
            yield from _compare_row(indexed, rows.pop(key), expected, number, vector)
        else:
            yield Difference("missing", *key, "searchable in the database, not in the index")
    yield from map(_extra_row_difference, rows)


def _compare_row(
    indexed: _IndexedRows, row: int, expected: Columns, number: int, vector: bytes
) -> Iterator[Difference]:
    key = indexed.key_of(row)
    for name in column_dtypes():
        has, want = getattr(indexed.columns, name)[row], getattr(expected, name)[number]
        if not np.array_equal(has, want, equal_nan=True):
            yield Difference(name, *key, f"index has {has}, database has {want}")
    if indexed.vector_of(row) != vector:
        yield Difference("vector", *key, "the bytes differ from the database's")


def _extra_row_difference(key: Key) -> Difference:
    return Difference("extra", *key, "in the index, not searchable in the database")
