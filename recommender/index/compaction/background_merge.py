"""Making several segments one, without their dead rows, while searches, and flushes, go on.

Segments are immutable, so a merge reads them without a lease and at its own pace; what died meanwhile is marked when
it is published. Vectors are copied from file to file, in order, a block at a time.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from recommender.index.rows.columns import Columns
from recommender.index.rows.vector_file import BLOCK, VectorFile
from recommender.index.storage import segment
from recommender.index.storage.segment import VECTORS, Segment
from recommender.index.storage.snapshot import Part, Snapshot, segment_directory
from recommender.index.thread_priority import lower_priority

STOP_SECONDS = 10.0
MERGE_ERRORS = (OSError, RuntimeError, ValueError, IndexError, AssertionError, MemoryError)
SPARSE_FACTOR = 8  # rows are read one by one where fewer than one in so many of a stretch are wanted


class Merge:
    """Segments of a snapshot that become the one in `directory`. `sources` are their names."""

    def __init__(self, base: Snapshot, numbers: Sequence[int], name: str) -> None:
        self._parts = [base.parts[number] for number in numbers]
        self._model, self._dim = base.model_version, base.dim
        self.sources = [part.segment.name for part in self._parts]
        self.directory = segment_directory(name)
        self._rows = [np.flatnonzero(part.live) for part in self._parts]
        self._order = self._merged_order()
        self._began = time.time()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._error: Exception | None = None

    def __len__(self) -> int:
        return len(self._order)

    def start_in_background(self) -> None:
        """Work on a thread; `is_done` says when it has ended."""
        self._thread = threading.Thread(target=self._run_in_background, name="index-merge", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give it up at its next step; what it wrote is removed then."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    @property
    def has_failed(self) -> bool:
        return self._error is not None

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()

    @property
    def is_done(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    def run(self, tick: Callable[[], None]) -> None:
        """Write the segment. Raises: OSError; whatever `tick` raises."""
        if len(self):
            segment.write(
                self.directory, self._merged_pages(), expected=len(self), dim=self._dim, model=self._model, tick=tick
            )

    def rebase_on(self, base: Snapshot) -> Snapshot | None:
        """The snapshot in which this segment stands for its sources; None where that is too late: all of them are
        gone, or rows live again that it left out.

        A source of which nothing stands any more has left the snapshot already: its rows are dead here too.
        Raises: OSError where the merge failed; SnapshotDamaged.
        """
        by_name = {part.segment.name: part for part in base.parts}
        now = [by_name[name].live if name in by_name else None for name in self.sources]
        if all(live is None for live in now):
            return None
        if self._error is not None:
            raise OSError(f"segments could not be merged: {self._error}") from self._error
        held = []
        for live, rows in zip(now, self._rows, strict=True):
            held.append(np.zeros(len(rows), bool) if live is None else live[rows])
            if live is not None and np.count_nonzero(live) > np.count_nonzero(held[-1]):
                return None
        kept = [part for part in base.parts if part.segment.name not in self.sources]
        if len(self):
            live = np.concatenate(held)[self._order]
            written = segment.load(self.directory, self._model)
            kept.append(Part(written, live, None if live.all() else self._began))
        return replace(base, parts=tuple(kept))

    def discard(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run_in_background(self) -> None:
        try:
            lower_priority()
            self.run(self._check_stopped)
        except MERGE_ERRORS as exc:
            self._error = exc

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            raise InterruptedError("the worker stops")

    def _merged_order(self) -> np.ndarray:
        """int64[n]: the sources' live rows, one source after another, as they follow by listing and image."""
        keys = [
            np.concatenate(
                [getattr(part.segment.columns, name)[rows] for part, rows in zip(self._parts, self._rows, strict=True)]
            )
            if self._parts
            else np.empty(0, np.int64)
            for name in ("image", "listing")
        ]
        return np.lexsort(keys)

    def _merged_pages(self) -> Iterator[tuple[Columns, np.ndarray]]:
        """Blocks of the result. Each source's rows come in their own order, so each is read front to back once."""
        source_of = np.repeat(np.arange(len(self._rows)), [len(rows) for rows in self._rows])[self._order]
        taken = [0] * len(self._rows)
        for first in range(0, len(self._order), BLOCK):
            sources = source_of[first : first + BLOCK]
            vectors = np.empty((len(sources), self._dim), np.float16)
            tables, places = [], []
            for number in np.unique(sources).tolist():
                at = np.flatnonzero(sources == number)
                rows = self._rows[number][taken[number] : taken[number] + len(at)]
                taken[number] += len(at)
                held = self._parts[number].segment
                vectors[at] = _read_vectors(held, rows)
                tables.append(held.columns.take(rows))
                places.append(at)
            yield Columns.concatenate(tables).take(np.argsort(np.concatenate(places))), vectors


def _read_vectors(held: Segment, rows: np.ndarray) -> np.ndarray:
    """float16[r, dim] of ascending rows."""
    first, last = int(rows[0]), int(rows[-1]) + 1
    stored = VectorFile(held.directory / VECTORS, len(held), held.dim)
    try:
        if last - first > SPARSE_FACTOR * len(rows):
            return stored.take(rows)
        return stored.read(first, last)[rows - first]
    except FileNotFoundError:  # all its rows died meanwhile, so it was collected; its map outlives it
        return held.vectors[rows]
