"""Which rows of a segment may be found: one bitmap, decided before any vector is looked at."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .columns import NO_ROWS, Columns

MAX_FLIPPED_BITS = 1_000  # changed bits are set one by one; more are packed anew


class RowBitmap:
    """Rows of one segment, as `mask` bool[n]. Never changed once made; counts are kept, and carried over to
    selections that differ at few rows."""

    def __init__(
        self, mask: np.ndarray, *, count: int | None = None, per_list: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        self.mask = mask
        self.count = int(np.count_nonzero(mask)) if count is None else count
        self._per_list = per_list

    @classmethod
    def from_rows(cls, rows: np.ndarray, size: int) -> RowBitmap:
        """From int64[r], ascending and distinct, of `size` rows."""
        mask = np.zeros(size, bool)
        mask[rows] = True
        selection = cls(mask, count=len(rows))
        selection.__dict__["rows"] = rows
        return selection

    @property
    def is_all(self) -> bool:
        return self.count == len(self.mask)

    @cached_property
    def rows(self) -> np.ndarray:
        """int64[count], ascending."""
        return np.flatnonzero(self.mask)

    @cached_property
    def bits(self) -> np.ndarray:
        """uint8[ceil(n / 8)], the first row in the lowest bit, as FAISS reads them."""
        return np.packbits(self.mask, bitorder="little")

    def counts_per_list(self, list_of: np.ndarray, lists: int) -> np.ndarray:
        """int64[lists]: how many selected rows each inverted list holds; `list_of` says which one each row is in."""
        if self._per_list is None:
            # Not through `rows`: they take eight bytes each, and this selection may be kept.
            held = list_of if self.is_all else list_of[np.flatnonzero(self.mask)]
            self._per_list = (list_of, np.bincount(held, minlength=lists))
        return self._per_list[1]

    def with_changes(self, *, add: np.ndarray = NO_ROWS, remove: np.ndarray = NO_ROWS) -> RowBitmap:
        """With some rows (int64, distinct), without others."""
        add, remove = add[~self.mask[add]], remove[self.mask[remove]]
        if not len(add) and not len(remove):
            return self
        mask = self.mask.copy()
        mask[add], mask[remove] = True, False
        counts = self._per_list
        if counts is not None:
            list_of, before = counts
            more, fewer = (np.bincount(list_of[rows], minlength=len(before)) for rows in (add, remove))
            counts = list_of, before + more - fewer
        selection = RowBitmap(mask, count=self.count + len(add) - len(remove), per_list=counts)
        if "bits" in self.__dict__ and len(add) + len(remove) < MAX_FLIPPED_BITS:
            bits = self.bits.copy()
            rows = np.concatenate([add, remove])
            np.bitwise_xor.at(bits, rows >> 3, np.left_shift(1, rows & 7).astype(np.uint8))
            selection.__dict__["bits"] = bits
        return selection


class LiveRows:
    """The rows of a segment that still stand, bool[n]. What plain searches need of them is made once, and carried over
    to the state after the next change."""

    def __init__(self, mask: np.ndarray, by_status: dict[tuple[int, ...], RowBitmap] | None = None) -> None:
        self.mask = mask
        self._by_status = by_status or {}

    @cached_property
    def count(self) -> int:
        return int(np.count_nonzero(self.mask))

    def with_status(self, statuses: tuple[int, ...], columns: Columns) -> RowBitmap:
        """Those whose listing has one of these statuses."""
        if statuses not in self._by_status:
            self._by_status[statuses] = RowBitmap(self.mask & columns.have_status(statuses))
        return self._by_status[statuses]

    def without_rows(self, rows: np.ndarray) -> LiveRows:
        """Without these rows (int64, distinct); itself where none of them stood."""
        if not self.mask[rows].any():
            return self
        mask = self.mask.copy()
        mask[rows] = False
        return LiveRows(mask, {key: one.with_changes(remove=rows) for key, one in list(self._by_status.items())})
