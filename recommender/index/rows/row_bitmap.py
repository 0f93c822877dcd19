"""Which rows of a segment may be found: a bitmap that is decided before any vector is looked at."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .arrays import Bits, Mask, RowIds
from .columns import NO_ROWS, Columns

# This many bits, or more, take longer to flip one by one than the whole mask takes to be packed again.
MAX_FLIPPED_BITS = 1_000

# The inverted list that each row is in, and how many of the bitmap's rows each list holds. The first is kept so that
# the second can be corrected for a few rows.
ListCounts = tuple[NDArray[np.integer], NDArray[np.int64]]


class RowBitmap:
    """Some rows of one segment, as `mask` bool[n]. Never changed once made.

    What searches count and pack of it is kept, and carried over to bitmaps that differ in few rows.
    """

    def __init__(
        self, mask: Mask, *, count: int | None = None, per_list: ListCounts | None = None, bits: Bits | None = None
    ) -> None:
        self.mask = mask
        self.count = int(np.count_nonzero(mask)) if count is None else count
        self._rows: RowIds | None = None
        self._bits = bits
        self._per_list = per_list

    @classmethod
    def from_rows(cls, rows: RowIds, size: int) -> RowBitmap:
        """From int64[r], ascending and distinct, of `size` rows."""
        mask = np.zeros(size, bool)
        mask[rows] = True
        selection = cls(mask, count=len(rows))
        selection._rows = rows
        return selection

    @property
    def is_all(self) -> bool:
        return self.count == len(self.mask)

    @property
    def rows(self) -> RowIds:
        """int64[count], ascending."""
        if self._rows is None:
            self._rows = np.flatnonzero(self.mask)
        return self._rows

    @property
    def bits(self) -> Bits:
        """uint8[ceil(n / 8)], the first row in the lowest bit, as FAISS reads them."""
        if self._bits is None:
            self._bits = np.packbits(self.mask, bitorder="little")
        return self._bits

    def counts_per_list(self, list_of: NDArray[np.integer], lists: int) -> NDArray[np.int64]:
        """int64[lists]: how many of the rows each inverted list holds; `list_of` says which one each row is in."""
        if self._per_list is None:
            # `self.rows` is not used, because it would stay here at eight bytes a row, and this bitmap may be kept for
            # long.
            lists_of_rows = list_of if self.is_all else list_of[np.flatnonzero(self.mask)]
            self._per_list = (list_of, np.bincount(lists_of_rows, minlength=lists))
        return self._per_list[1]

    def with_changes(self, *, add: RowIds = NO_ROWS, remove: RowIds = NO_ROWS) -> RowBitmap:
        """The bitmap with some rows (distinct) and without others; itself if it is no other."""
        add, remove = add[~self.mask[add]], remove[self.mask[remove]]
        if not len(add) and not len(remove):
            return self
        mask = self.mask.copy()
        mask[add], mask[remove] = True, False
        count = self.count + len(add) - len(remove)
        return RowBitmap(
            mask,
            count=count,
            per_list=self._adjust_counts_per_list(add, remove),
            bits=self._flip_bits(np.concatenate([add, remove])),
        )

    def _adjust_counts_per_list(self, add: RowIds, remove: RowIds) -> ListCounts | None:
        if self._per_list is None:
            return None
        list_of, before = self._per_list
        more, fewer = (np.bincount(list_of[rows], minlength=len(before)) for rows in (add, remove))
        return list_of, before + more - fewer

    def _flip_bits(self, rows: RowIds) -> Bits | None:
        """The bits after these rows changed; None where nobody packed them before, or packing them is faster."""
        if self._bits is None or len(rows) >= MAX_FLIPPED_BITS:
            return None
        bits = self._bits.copy()
        # `bitwise_xor.at`, because several rows may share a byte, of which plain indexing would flip one bit alone.
        np.bitwise_xor.at(bits, rows >> 3, np.left_shift(1, rows & 7).astype(np.uint8))
        return bits


class LiveRows:
    """The rows of a segment that were not deleted and whose listing did not change since, bool[n]. Never changed once
    made.

    The bitmaps of unfiltered searches are kept here, and carried over to the state after the next change.
    """

    def __init__(self, mask: Mask, by_status: dict[tuple[int, ...], RowBitmap] | None = None) -> None:
        self.mask = mask
        self._by_status = by_status or {}

    @cached_property
    def count(self) -> int:
        return int(np.count_nonzero(self.mask))

    def with_status(self, statuses: tuple[int, ...], columns: Columns) -> RowBitmap:
        """Those whose listing has one of these statuses."""
        if statuses not in self._by_status:
            self._by_status[statuses] = RowBitmap(self.mask & columns.status_mask(statuses))
        return self._by_status[statuses]

    def without_rows(self, rows: RowIds) -> LiveRows:
        """Without these rows (distinct); itself if none of them is alive."""
        if not self.mask[rows].any():
            return self
        mask = self.mask.copy()
        mask[rows] = False
        # The bitmaps are copied to a list first, because a search on another thread may add one meanwhile.
        by_status = {key: one.with_changes(remove=rows) for key, one in list(self._by_status.items())}
        return LiveRows(mask, by_status)
