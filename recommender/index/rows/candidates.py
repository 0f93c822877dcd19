"""What a search of the index answers with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from listings.filterable import COLUMNS

from .arrays import Degrees, Ids, RowIds, Similarities
from .columns import KEYS


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

    def __init__(self, *, plan: tuple[dict[str, Any], ...] = (), **arrays: NDArray[Any]) -> None:
        if arrays.keys() != {*KEYS, "similarity", "photos", *COLUMNS}:
            raise TypeError(f"arrays of {[*KEYS, 'similarity', 'photos', *COLUMNS]} are needed, not of {[*arrays]}")
        self.plan = plan
        self.arrays = arrays
        self.__dict__.update(arrays)

    @classmethod
    def from_columns(
        cls,
        values: dict[str, NDArray[Any]],
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
