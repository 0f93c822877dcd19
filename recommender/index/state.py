"""One immutable state of the index: a base and the delta over it. A search sees one state, whole."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .columns import DTYPES, Columns
from .delta import Delta
from .errors import ForeignVector
from .snapshot import Snapshot
from .where import Candidates, Where

FIRST_FETCH = 64


@dataclass(frozen=True)
class Found:
    """Rows found in one place: similarity float32[r] and int64[r] each of part (-1: the delta) and row."""

    similarity: np.ndarray
    part: np.ndarray
    row: np.ndarray


@dataclass(frozen=True)
class State:
    """`alive[i]` bool[n_i] marks the base rows still standing: live in the snapshot and not of a changed listing.

    A listing lives in exactly one place: in the delta if it changed since the snapshot, else in one segment.
    """

    base: Snapshot
    alive: tuple[np.ndarray, ...]
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
        return len(self.delta) + sum(int(np.count_nonzero(alive)) for alive in self.alive)

    def search(
        self, vectors: np.ndarray, k: int, where: Where, exclude: Collection[int] = (), *, model_id: int | None = None
    ) -> Candidates:
        """The k listings most similar to any of the vectors, among those that pass; k whenever k exist.

        vectors: float32[m, dim], L2-normalised, made by the model `model_id` (None: certainly this state's)
        exclude: listing ids left out
        A listing's similarity is the best cosine between any vector and any of its photos.
        Raises: ForeignVector where the model or the dimension is not this state's.
        """
        queries = np.ascontiguousarray(np.atleast_2d(vectors), np.float32)
        if model_id not in (None, self.model_id):
            raise ForeignVector(f"a vector of model {model_id} cannot be compared under {self.model_version}")
        if queries.shape[1] != self.dim:
            raise ForeignVector(
                f"a vector of {queries.shape[1]} dimensions cannot be compared under {self.model_version}"
            )
        passing, own = self._passing(where, exclude)
        fetch = max(FIRST_FETCH, 2 * k)
        while True:
            found, exhausted, floor = self._fetch(queries, fetch, passing, own)
            best = self._group(found, floor)
            if exhausted or len(best.row) >= k:
                return self._describe(best, k)
            fetch *= 4

    def _passing(self, where: Where, exclude: Collection[int]) -> tuple[list[np.ndarray], np.ndarray]:
        """Per part a bool mask over its rows, and the delta rows that hold their own vector and pass."""
        excluded = np.fromiter(exclude, np.int64, len(exclude))
        delta_passes = where.mask(self.delta.columns)
        delta_passes[self.delta.columns.rows_of(excluded)] = False
        masks: list[np.ndarray] = []
        for number, (part, alive) in enumerate(zip(self.base.parts, self.alive, strict=True)):
            mask = alive & where.mask(part.segment.columns)
            mask[part.segment.columns.rows_of(excluded)] = False
            mask[self.delta.row[delta_passes & (self.delta.part == number)]] = True
            masks.append(mask)
        return masks, np.flatnonzero(delta_passes & (self.delta.slot >= 0))

    def _fetch(
        self, queries: np.ndarray, count: int, passing: list[np.ndarray], own: np.ndarray
    ) -> tuple[Found, bool, float]:
        """The best `count` rows of each place, whether that was all, and the similarity below which more may hide."""
        found: list[Found] = []
        floor, exhausted = -np.inf, True
        for number, (part, mask) in enumerate(zip(self.base.parts, passing, strict=True)):
            similarity, rows = part.segment.search(queries, count, mask)
            real = rows >= 0  # FAISS fills up with -1 where a vector is not a number
            found.append(Found(similarity[real], np.full(np.count_nonzero(real), number), rows[real]))
            if similarity.shape[1] == count and np.count_nonzero(mask) > count:
                exhausted, floor = False, max(floor, float(similarity[:, -1].max()))
        scores = self.delta.chunks.scores(queries, self.delta.slot[own])
        if len(own) > count:
            top = np.argpartition(-scores, count - 1, axis=1)[:, :count]
            scores, rows = np.take_along_axis(scores, top, axis=1), own[top]
            exhausted, floor = False, max(floor, float(scores.min(axis=1).max()))
        else:
            rows = np.broadcast_to(own, scores.shape)
        found.append(Found(scores.ravel(), np.full(scores.size, -1), rows.ravel()))
        return _concatenate(found), exhausted, floor

    def _group(self, found: Found, floor: float) -> Found:
        """The best row of each listing, best first, down to the floor: below it an unseen row could be better."""
        order = np.argsort(-found.similarity, kind="stable")
        order = order[found.similarity[order] >= floor]
        listing = self._column("listing", found.part[order], found.row[order])
        _, first = np.unique(listing, return_index=True)
        order = order[np.sort(first)]
        return Found(found.similarity[order], found.part[order], found.row[order])

    def _describe(self, found: Found, k: int) -> Candidates:
        """Columns of the found rows; rows whose listing changed take the delta's values, not the base's."""
        listing = self._column("listing", found.part, found.row)
        order = np.lexsort((listing, -found.similarity))[:k]
        listing, part, row = listing[order], found.part[order], found.row[order]
        changed, at = self._changed(part, row)
        values = {name: self._column(name, part, row) for name in DTYPES}
        for name in DTYPES:
            values[name][changed] = getattr(self.delta.columns, name)[at]
        price = values["price"]
        return Candidates(
            listing=listing,
            image=values["image"],
            similarity=found.similarity[order],
            category=values["category"],
            price=np.where(price < 0, np.nan, price / 100),
            latitude=values["latitude"],
            longitude=values["longitude"],
            created=values["created"],
            seller=values["seller"],
            status=values["status"],
            photos=self._photos(listing),
        )

    def _column(self, name: str, part: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Values of one column at (part, row), part -1 being the delta."""
        values = np.empty(len(row), DTYPES[name])
        for number in np.unique(part):
            at = part == number
            columns: Columns = self.delta.columns if number < 0 else self.base.parts[number].segment.columns
            values[at] = getattr(columns, name)[row[at]]
        return values

    def _changed(self, part: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices of results whose vector is in the base but whose values are in the delta, and where there."""
        keys, at = self._pointers
        wanted = _key(part, row)
        place = np.minimum(np.searchsorted(keys, wanted), max(0, len(keys) - 1))
        hits = np.flatnonzero(keys[place] == wanted) if len(keys) else np.empty(0, np.int64)
        return hits, at[place[hits]]

    @cached_property
    def _pointers(self) -> tuple[np.ndarray, np.ndarray]:
        """(sorted keys, delta rows): the delta rows that point into the base."""
        at = np.flatnonzero(self.delta.slot < 0)
        keys = _key(self.delta.part[at], self.delta.row[at])
        order = np.argsort(keys)
        return keys[order], at[order]

    def _photos(self, listing: np.ndarray) -> np.ndarray:
        """int64[n]: how many searchable photos each listing has."""
        first, last = self.delta.columns.ranges(listing)
        photos = last - first
        for part, alive in zip(self.base.parts, self.alive, strict=True):
            first, last = part.segment.columns.ranges(listing)
            standing = [int(np.count_nonzero(alive[a:b])) for a, b in zip(first, last, strict=True)]
            photos = photos + np.array(standing, np.int64)
        return photos


def _key(part: np.ndarray, row: np.ndarray) -> np.ndarray:
    """int64[n]: one sortable number for each place in the base; negative for the delta's own rows."""
    return (part.astype(np.int64) << 40) + row


def _concatenate(found: list[Found]) -> Found:
    return Found(
        np.concatenate([one.similarity for one in found]),
        np.concatenate([one.part for one in found]).astype(np.int64),
        np.concatenate([one.row for one in found]).astype(np.int64),
    )
