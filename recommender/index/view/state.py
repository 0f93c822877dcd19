"""One immutable state of the index: a base and the delta over it. A search sees one state, whole."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from listings.filterable import Filter
from recommender.index.ann import dot_products
from recommender.index.ann.probing import EXACT, SegmentPlan
from recommender.index.errors import ForeignVector
from recommender.index.rows.candidates import Candidates
from recommender.index.rows.columns import NO_ROWS, Columns, concatenate_ranges
from recommender.index.rows.filter import mask_rows, prefilter
from recommender.index.rows.row_bitmap import LiveRows, RowBitmap
from recommender.index.storage.snapshot import Snapshot

from .delta import Delta

SPARE = 8  # rows fetched beyond what k listings have on average
WIDER = 4
DELTA = -1


@dataclass(frozen=True)
class Found:
    """Rows found: similarity float32[r] and int64[r] each of part (-1: the delta) and row."""

    similarity: np.ndarray
    part: np.ndarray
    row: np.ndarray


@dataclass
class Gathering:
    """What the places gave so far: rows, how each was searched, whether that was all, and the similarity below which
    more may hide."""

    found: list[Found]
    plan: list[tuple[int, SegmentPlan]]
    exhausted: bool = True
    floor: float = -math.inf

    def add(self, part: int, similarity: np.ndarray, rows: np.ndarray, *, more: bool) -> None:
        """Rows of one place, best first; `more`: there are others, none of them more similar."""
        self.found.append(Found(similarity, np.full(len(rows), part), rows))
        if more and len(rows):  # none: nothing here is a number
            self.exhausted, self.floor = False, max(self.floor, float(similarity[-1]))


@dataclass(frozen=True)
class State:
    """`live_rows[i]` are the rows of part i that may still be found: live in the snapshot and not of a changed listing.

    A listing lives in exactly one place: in the delta if it changed since the snapshot, else in one segment.
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

    def vectors_of(self, listing_id: int) -> np.ndarray:
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

    def search(
        self,
        vectors: np.ndarray,
        k: int,
        where: Filter,
        exclude: Collection[int] = (),
        *,
        model_id: int | None = None,
        exact: bool = False,
    ) -> Candidates:
        """The k listings most similar to any of the vectors, among those that pass; k whenever k exist.

        vectors: float[m, dim], L2-normalised, made by the model `model_id` (None: certainly this state's); compared
        at the precision that vectors are stored in
        exclude: listing ids left out
        exact: compare every row that passes, whatever it takes
        A listing's similarity is the best cosine between any vector and any of its photos.
        Raises: ForeignVector where the model or the dimension is not this state's.
        """
        queries = dot_products.to_float16(vectors)
        if model_id not in (None, self.model_id):
            raise ForeignVector(f"a vector of model {model_id} cannot be compared under {self.model_version}")
        if queries.shape[1] != self.dim:
            raise ForeignVector(
                f"a vector of {queries.shape[1]} dimensions cannot be compared under {self.model_version}"
            )
        passing, own = self._passing(where, exclude)
        fetch = math.ceil(k * self.rows_per_listing) + SPARE
        while True:
            gathered = self._fetch(queries, fetch, passing, own, exact=exact)
            best = self._group(_concatenate(gathered.found), gathered.floor)
            if gathered.exhausted or len(best.row) >= k:
                return self._describe(best, k, self._explained(gathered.plan))
            fetch *= WIDER

    def _passing(self, where: Filter, exclude: Collection[int]) -> tuple[list[RowBitmap], np.ndarray]:
        """The rows of each part that pass, and the delta rows that hold their own vector and pass."""
        excluded = np.unique(np.fromiter(exclude, np.int64, len(exclude)))
        columns = self.delta.columns
        delta_passes = mask_rows(where, columns)
        delta_passes[columns.rows_of(excluded)] = False
        pointing = np.flatnonzero(delta_passes & (self.delta.slot < 0))
        selections = []
        for number, (part, live_rows) in enumerate(zip(self.base.parts, self.live_rows, strict=True)):
            held = part.segment.columns
            of_status = live_rows.with_status(where.status_numbers, held)
            part.segment.warm_filter_cache(of_status)  # once: what leaves out a few rows is counted from it
            selection = prefilter(where, held, of_status)
            kept = pointing[self.delta.part[pointing] == number]
            selections.append(selection.with_changes(add=self.delta.row[kept], remove=held.rows_of(excluded)))
        return selections, np.flatnonzero(delta_passes & (self.delta.slot >= 0))

    def _fetch(
        self, queries: np.ndarray, count: int, passing: list[RowBitmap], own: np.ndarray, *, exact: bool
    ) -> Gathering:
        """About the best `count` rows of each place for each query (float16[m, dim])."""
        gathered = Gathering([], [])
        for number, (part, selection) in enumerate(zip(self.base.parts, passing, strict=True)):
            if not selection.count:
                continue
            for query in queries:
                similarity, rows, step = part.segment.find_nearest(query, count, selection, exact=exact)
                gathered.add(number, similarity, rows, more=selection.count > count)
                gathered.plan.append((number, step))
        for scores in self.delta.chunks.inner_products(queries, self.delta.slot[own]):
            top = dot_products.top_k(scores, count)
            gathered.add(DELTA, scores[top], own[top], more=len(own) > count)
        if len(own):
            gathered.plan.append((DELTA, SegmentPlan(EXACT, len(own), len(own))))
        return gathered

    def _explained(self, plan: list[tuple[int, SegmentPlan]]) -> tuple[dict[str, object], ...]:
        # `asdict` would copy deeply, and take ten times as long as `vars`.
        return tuple(
            {"place": "delta" if part == DELTA else self.base.parts[part].segment.name, **vars(step)}
            for part, step in plan
        )

    def _group(self, found: Found, floor: float) -> Found:
        """The best row of each listing, best first, down to the floor: below it an unseen row could be better."""
        order = np.argsort(-found.similarity, kind="stable")
        order = order[found.similarity[order] >= floor]
        listing = self._column("listing", self._places(found.part[order]), found.row[order])
        _, first = np.unique(listing, return_index=True)
        order = order[np.sort(first)]
        return Found(found.similarity[order], found.part[order], found.row[order])

    def _describe(self, found: Found, k: int, plan: tuple[dict[str, object], ...]) -> Candidates:
        """Columns of the found rows; rows whose listing changed take the delta's values, not the base's."""
        listing = self._column("listing", self._places(found.part), found.row)
        order = np.lexsort((listing, -found.similarity))[:k]
        listing, part, row = listing[order], found.part[order], found.row[order]
        places = self._places(part)
        values = {name: self._column(name, places, row) for name in self.delta.columns.arrays}
        changed, at = self._changed(part, row)
        if len(changed):
            for name, array in self.delta.columns.arrays.items():
                values[name][changed] = array[at]
        photos = self._photos(listing, places, row)
        return Candidates.from_columns(values, found.similarity[order], photos, plan)

    def _places(self, part: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Each part among these, the delta first, and int64[n]: where in `part` it is."""
        numbers = range(DELTA, len(self.base.parts))
        return [(number, at) for number in numbers if len(at := np.flatnonzero(part == number))]

    def _column(self, name: str, places: list[tuple[int, np.ndarray]], row: np.ndarray) -> np.ndarray:
        """Values of one column at these places."""
        if len(places) == 1:  # as in most searches
            return self._columns(places[0][0]).arrays[name][row]
        values = np.empty(len(row), self.delta.columns.arrays[name].dtype)
        for number, at in places:
            values[at] = self._columns(number).arrays[name][row[at]]
        return values

    def _columns(self, part: int) -> Columns:
        return self.delta.columns if part == DELTA else self.base.parts[part].segment.columns

    def _changed(self, part: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices of results whose vector is in the base but whose values are in the delta, and where there."""
        keys, at = self._pointers
        if not len(keys):
            return NO_ROWS, NO_ROWS
        wanted = _key(part, row)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        hits = np.flatnonzero(keys[place] == wanted)
        return hits, at[place[hits]]

    @cached_property
    def _pointers(self) -> tuple[np.ndarray, np.ndarray]:
        """(sorted keys, delta rows): the delta rows that point into the base."""
        at = np.flatnonzero(self.delta.slot < 0)
        keys = _key(self.delta.part[at], self.delta.row[at])
        order = np.argsort(keys)
        return keys[order], at[order]

    def _photos(self, listing: np.ndarray, places: list[tuple[int, np.ndarray]], row: np.ndarray) -> np.ndarray:
        """int64[n]: how many searchable photos each listing has, of which one is in this place: in the delta, or
        among the live rows beside it."""
        first, last = self.delta.columns.row_ranges(listing)
        photos = last - first
        for number, at in places:
            if number == DELTA:
                continue
            first, last = self.base.parts[number].segment.columns.ranges_around(row[at])
            live = self.live_rows[number].mask[concatenate_ranges(first, last)]
            photos += np.bincount(np.repeat(at, last - first)[live], minlength=len(listing))
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
