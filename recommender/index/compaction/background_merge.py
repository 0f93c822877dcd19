"""Makes several segments one, without their dead rows, while searches and flushes go on.

Segments never change, so a merge reads them without a lease and at its own pace. Rows that die meanwhile are marked in
the snapshot that publishes it. Here each box is a segment, each dot a live row of it, each x a dead one:

    snapshot 1   [A . . . .] [B . . .]            a merge of A and B into M begins
    snapshot 2   [A . x . .] [B . . .] [C . .]    a flush: changed listings go into C, their rows in A are dead
    snapshot 3   [C . .] [M . x . . . . .]        M is done and replaces A and B; what died in A is dead in M
    snapshot 4   [C . .] [N . . . . . .]          a purge: M is rewritten without its dead row, as N

Snapshots share segments: the files of C are the same in 2, 3 and 4, and only the masks of live rows are written anew.
The files of A, B and M are deleted once no published snapshot names them.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from recommender.index.rows.arrays import HalfVectors, Mask, RowIds
from recommender.index.rows.columns import Columns
from recommender.index.rows.vector_file import BLOCK_ROWS, VectorFile
from recommender.index.storage import segment
from recommender.index.storage.segment import VECTORS, Segment
from recommender.index.storage.snapshot import Part, Snapshot, segment_directory
from recommender.index.thread_priority import lower_priority

# How long the end of a process waits for a merge to notice that it should stop: it looks only between two steps.
STOP_SECONDS = 10.0

# What may go wrong in a merge and concern nothing but the merge: the disk, FAISS, damaged or vanished files, memory.
MERGE_ERRORS = (OSError, RuntimeError, ValueError, IndexError, AssertionError, MemoryError)

# Where fewer than one row in this many of a stretch is wanted, it is faster to read single rows than all of it.
SPARSE_FACTOR = 8


class Merge:
    """The live rows of several segments, the `sources` by name, that become one segment in `directory`."""

    def __init__(self, base: Snapshot, numbers: Sequence[int], name: str) -> None:
        parts = [base.parts[number] for number in numbers]
        self._model, self._dim = base.model_version, base.dim
        self.sources = [part.segment.name for part in parts]
        self.directory = segment_directory(name)
        self._segments = [part.segment for part in parts]
        self._rows = [np.flatnonzero(part.live) for part in parts]
        self._order = _sort_order(self._segments, self._rows)
        self._began = time.time()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._error: Exception | None = None

    def __len__(self) -> int:
        return len(self._order)

    def start_in_background(self) -> None:
        """Work on a thread; `is_done` says when it has ended. Raises: RuntimeError where there is no thread."""
        self._thread = threading.Thread(target=self._write_in_background, name="index-merge", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give it up at its next step; what it wrote is removed then."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()

    @property
    def is_done(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    @property
    def has_failed(self) -> bool:
        return self._error is not None

    def write_segment(self, tick: Callable[[], None]) -> None:
        """Write the segment. Raises: OSError; whatever `tick` raises."""
        if len(self):
            pages = self._read_merged_pages()
            segment.write_segment(
                self.directory, pages, expected=len(self), dim=self._dim, model=self._model, tick=tick
            )

    def replace_sources_in(self, base: Snapshot) -> Snapshot | None:
        """`base` with the merged segment in place of its sources. What died since the merge began is dead in it too.

        None where the merge came too late: every source is gone, or rows live again that it left out.
        Raises: OSError where the merge failed; SnapshotDamaged.
        """
        live_now = self._live_rows_in(base)
        if all(live is None for live in live_now):
            return None
        if self._error is not None:
            raise OSError(f"segments could not be merged: {self._error}") from self._error
        if self._lacks_live_rows(live_now):
            return None
        parts = [part for part in base.parts if part.segment.name not in self.sources]
        if len(self):
            parts.append(self._open_merged_part(live_now))
        return replace(base, parts=tuple(parts))

    def remove_files(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def _write_in_background(self) -> None:
        try:
            lower_priority()
            self.write_segment(self._raise_if_stopped)
        except MERGE_ERRORS as exc:
            # Nobody would see the error on this thread. It is raised where the merge would have been published.
            self._error = exc

    def _raise_if_stopped(self) -> None:
        if self._stopped.is_set():
            # InterruptedError is an OSError, so a merge that is stopped ends as one that failed, and cleans up.
            raise InterruptedError("the worker stops")

    def _live_rows_in(self, base: Snapshot) -> list[Mask | None]:
        """The live rows of each source; None where `base` no longer names it, so that no row of it is live."""
        live = {part.segment.name: part.live for part in base.parts}
        return [live.get(name) for name in self.sources]

    def _lacks_live_rows(self, live_now: list[Mask | None]) -> bool:
        """Whether a source has live rows that were dead when the merge began."""
        return any(
            live is not None and np.count_nonzero(live) > np.count_nonzero(live[rows])
            for live, rows in zip(live_now, self._rows, strict=True)
        )

    def _open_merged_part(self, live_now: list[Mask | None]) -> Part:
        kept = [
            np.zeros(len(rows), bool) if live is None else live[rows]
            for live, rows in zip(live_now, self._rows, strict=True)
        ]
        live = np.concatenate(kept)[self._order]
        # Dead rows of the merged segment died after the merge began. When exactly is not known, so the purge counts
        # from its beginning.
        return Part(segment.open_segment(self.directory, self._model), live, None if live.all() else self._began)

    def _read_merged_pages(self) -> Iterator[tuple[Columns, HalfVectors]]:
        """The merged rows in order, a block at a time: (columns of b rows, float16[b, dim])."""
        sources = [_Source(*source) for source in zip(self._segments, self._rows, strict=True)]
        source_of = np.repeat(np.arange(len(sources)), [len(rows) for rows in self._rows])[self._order]
        for first in range(0, len(source_of), BLOCK_ROWS):
            block = source_of[first : first + BLOCK_ROWS]
            vectors = np.empty((len(block), self._dim), np.float16)
            tables, places = [], []
            for number in np.unique(block).tolist():
                at = np.flatnonzero(block == number)
                columns, vectors[at] = sources[number].read_next_rows(len(at))
                tables.append(columns)
                places.append(at)
            # The tables hold one source after the other; sorting their places puts the rows into the merged order.
            yield Columns.concatenate(tables).select_rows(np.argsort(np.concatenate(places))), vectors


class _Source:
    """The rows to keep of one segment. Segments are sorted as their merge is, so each is read once, front to back."""

    def __init__(self, source: Segment, rows: RowIds) -> None:
        self._segment, self._rows = source, rows
        self._read = 0

    def read_next_rows(self, count: int) -> tuple[Columns, HalfVectors]:
        rows = self._rows[self._read : self._read + count]
        self._read += count
        return self._segment.columns.select_rows(rows), _read_vectors(self._segment, rows)


def _sort_order(segments: Sequence[Segment], rows: Sequence[RowIds]) -> RowIds:
    """The order by listing and photo of these rows, which are numbered through from the first segment to the last."""
    keys = [
        np.concatenate([getattr(one.columns, name)[kept] for one, kept in zip(segments, rows, strict=True)])
        for name in ("image", "listing")  # the last key is the one that lexsort sorts by first
    ]
    return np.lexsort(keys)


def _read_vectors(source: Segment, rows: RowIds) -> HalfVectors:
    """float16[r, dim] of ascending rows."""
    first, last = int(rows[0]), int(rows[-1]) + 1
    # The file is read and not the map, whose pages, once read, count as memory of this process while the map is open.
    stored = VectorFile(source.directory / VECTORS, len(source), source.dim)
    try:
        if last - first > SPARSE_FACTOR * len(rows):
            return stored.read_rows(rows)
        return stored.read_range(first, last)[rows - first]
    except FileNotFoundError:
        # All rows of the source have died meanwhile, so its files were deleted; the open map still has the vectors.
        return source.vectors[rows]
