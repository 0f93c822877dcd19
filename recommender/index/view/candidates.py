"""What a search of the index answers with, and how the rows that it found are described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listings.finding.filterable import COLUMNS
from recommender.index.rows.arrays import ColumnArray, Degrees, Ids, RowIds, Similarities
from recommender.index.rows.columns import KEYS, concatenate_ranges

from .state import DELTA, State


@dataclass(frozen=True)
class FoundRows:
    """r rows and their similarity: `part` says which part of the snapshot each is in (DELTA: none), `row` where."""

    similarity: Similarities
    part: RowIds
    row: RowIds

    def select_rows(self, order: RowIds) -> FoundRows:
        """The same rows in another order, or fewer of them."""
        return FoundRows(self.similarity[order], self.part[order], self.row[order])


class Candidates:
    """Search results: parallel arrays with one entry per listing, most similar first, each an attribute by its name.

    listing, image: ids, the image that of the listing's best photo · similarity: cosine · photos: how many searchable
    photos the listing has · and one array for each declared column, decoded: category, seller: ids (-1: none) · price:
    in the site's currency (nan: not stated) · latitude, longitude: degrees on the 1 km grid (nan: unknown) · created:
    epoch seconds · status: index into STATUSES.
    `plan` says how each place was searched.
    """

    listing: Ids
    image: Ids
    similarity: Similarities
    photos: NDArray[np.int64]
    category: NDArray[np.int32]
    price: NDArray[np.float64]
    latitude: Degrees
    longitude: Degrees
    created: NDArray[np.float64]
    seller: Ids
    status: NDArray[np.int8]

    def __init__(self, *, plan: tuple[dict[str, Any], ...] = (), **arrays: ColumnArray) -> None:
        if arrays.keys() != {*KEYS, "similarity", "photos", *COLUMNS}:
            raise TypeError(f"arrays of {[*KEYS, 'similarity', 'photos', *COLUMNS]} are needed, not of {[*arrays]}")
        self.plan = plan
        self.arrays = arrays
        self.__dict__.update(arrays)

    @classmethod
    def from_columns(
        cls,
        values: dict[str, ColumnArray],
        similarity: Similarities,
        photos: NDArray[np.int64],
        plan: tuple[dict[str, Any], ...],
    ) -> Candidates:
        """From entries of the index's columns by name, in its own units."""
        decoded = {
            name: values[name] if column.decode is None else column.decode(values[name])
            for name, column in COLUMNS.items()
        }
        keys = {name: values[name] for name in KEYS}
        return cls(similarity=similarity, photos=photos, plan=plan, **keys, **decoded)

    def __len__(self) -> int:
        return len(self.listing)

    def select_entries(self, order: RowIds) -> Candidates:
        """The same entries in another order, or fewer of them."""
        return Candidates(plan=self.plan, **{name: array[order] for name, array in self.arrays.items()})


def build_best_candidates(state: State, found: FoundRows, k: int, plan: tuple[dict[str, object], ...]) -> Candidates:
    """The k best of these rows, one for each listing; equally similar ones by their listing's id.

    Rows whose listing changed take the delta's values, not the base's.
    """
    found = found.select_rows(np.lexsort((read_column(state, "listing", found), -found.similarity))[:k])
    by_part = _split_rows_by_part(state, found.part)
    values = {name: _gather_column(state, name, by_part, found.row) for name in state.delta.columns.arrays}
    changed, at = state.find_changed_rows(found.part, found.row)
    if len(changed):
        for name, array in state.delta.columns.arrays.items():
            values[name][changed] = array[at]
    photos = _count_photos(state, values["listing"], by_part, found.row)
    return Candidates.from_columns(values, found.similarity, photos, plan)


def read_column(state: State, name: str, found: FoundRows) -> ColumnArray:
    """The values of one column in these rows."""
    return _gather_column(state, name, _split_rows_by_part(state, found.part), found.row)


def _split_rows_by_part(state: State, part: RowIds) -> list[tuple[int, RowIds]]:
    """Each part among these, the delta first, and int64[n]: where in `part` it is."""
    numbers = range(DELTA, len(state.base.parts))
    return [(number, at) for number in numbers if len(at := np.flatnonzero(part == number))]


def _gather_column(state: State, name: str, by_part: list[tuple[int, RowIds]], row: RowIds) -> ColumnArray:
    if len(by_part) == 1:  # most searches find rows of one part alone, and need no array to gather in
        return state.columns_of(by_part[0][0]).arrays[name][row]
    values = np.empty(len(row), state.delta.columns.arrays[name].dtype)
    for number, at in by_part:
        values[at] = state.columns_of(number).arrays[name][row[at]]
    return values


def _count_photos(state: State, listing: Ids, by_part: list[tuple[int, RowIds]], row: RowIds) -> NDArray[np.int64]:
    """int64[n]: how many searchable photos each listing has. One of them is in the given row, and the others are in the
    delta, or among the live rows beside it."""
    first, last = state.delta.columns.row_ranges(listing)
    photos = last - first
    for number, at in by_part:
        if number == DELTA:
            continue
        first, last = state.columns_of(number).ranges_around(row[at])
        live = state.live_rows[number].mask[concatenate_ranges(first, last)]
        photos += np.bincount(np.repeat(at, last - first)[live], minlength=len(listing))
    return photos
