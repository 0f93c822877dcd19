"""A segment's vectors on disk: float16 rows, nothing else, written once from a stream and mapped by every reader."""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from .arrays import HalfVectors, RowIds

NAME = "vectors.f16"

# A writer syncs after this many bytes, because gigabytes at once could take a slow disk longer than a lease lasts.
SYNCED_BYTES = 256 * 1024 * 1024

# Linux reads ahead this much at a time unless it is configured otherwise, however much it is asked for.
READ_AHEAD_BYTES = 128 * 1024

# Rows read at a time: 16 MB at 1000 dimensions, so that memory does not grow with the file.
BLOCK_ROWS = 8_192


@dataclass(frozen=True)
class VectorFile:
    """A file of `rows` vectors of `dim` dimensions."""

    path: Path
    rows: int
    dim: int

    def open_map(self, *, scattered: bool) -> HalfVectors:
        """float16[rows, dim], a read-only map shared through the page cache.

        `scattered` says that a few rows here and there will be read, so that reading ahead would only push out other
        pages. Raises: OSError, ValueError if the file is missing or has another size.
        """
        if self.path.stat().st_size != self.rows * self.dim * 2:
            raise ValueError(f"{self.path} does not hold {self.rows} vectors of {self.dim}")
        # A file of no bytes cannot be mapped.
        if self.rows == 0:
            return np.empty((0, self.dim), np.float16)
        with self.path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if scattered:
            mapped.madvise(mmap.MADV_RANDOM)
        return np.frombuffer(mapped, np.float16).reshape(self.rows, self.dim)

    def start_read_ahead(self, most: int) -> threading.Thread:
        """Have up to `most` bytes read into the kernel's cache, in the background, so that the first searches do not
        wait for the disk a row at a time. It only saves time, so whatever goes wrong is ignored.
        """
        reader = threading.Thread(target=self._advise_read_ahead, args=(most,), name="index-read-ahead", daemon=True)
        with suppress(RuntimeError):  # where the process may start no more threads, searches are slow at first
            reader.start()
        return reader

    def _advise_read_ahead(self, most: int) -> None:
        with suppress(OSError), self.path.open("rb") as file:
            # The file is asked for piece by piece, because of a larger piece the kernel would read the beginning alone.
            for place in range(0, min(most, self.rows * self.dim * 2), READ_AHEAD_BYTES):
                os.posix_fadvise(file.fileno(), place, READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)

    def read_range(self, first: int, last: int) -> HalfVectors:
        """float16[last - first, dim], copied into memory of this process: no page stays mapped."""
        return np.fromfile(self.path, np.float16, (last - first) * self.dim, offset=first * self.dim * 2).reshape(
            -1, self.dim
        )

    def read_rows(self, rows: RowIds) -> HalfVectors:
        """float16[r, dim], read one by one. Through a map each row could make the kernel count half a megabyte around
        it as this process's memory. Raises: OSError.
        """
        found = np.empty((len(rows), self.dim), np.float16)
        with self.path.open("rb") as file:
            for row, into in zip(rows.tolist(), found, strict=True):
                if os.preadv(file.fileno(), [into.data], row * self.dim * 2) != into.nbytes:
                    raise OSError(f"{self.path} ends before row {row}")
        return found

    def iterate_blocks(self, size: int = BLOCK_ROWS) -> Iterator[tuple[int, HalfVectors]]:
        """(first row, float16[b, dim]) of every block, in order."""
        for first in range(0, self.rows, size):
            yield first, self.read_range(first, min(first + size, self.rows))


def mapped_bytes() -> int:
    """Bytes of mapped files that count as this process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[2]) * mmap.PAGESIZE


def release_pages(mapped: HalfVectors) -> None:
    """Take the pages of a map (`VectorFile.open_map`) out of this process's memory.

    They stay in the page cache, and are mapped again when they are read. For one row that is read the kernel maps half
    a megabyte or more, because it maps the pages of its cache whole, however large it made them.
    """
    # `madvise` is a method of the map, which only the array at the bottom of all views knows.
    base: object = mapped
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap):
        base.obj.madvise(mmap.MADV_DONTNEED)


class VectorWriter:
    """Writes a vector file front to back; `sha256` and `rows` are known at the end.

    Space for the expected rows is taken first, so that a full disk is an error here and never a fault in a map.
    """

    def __init__(self, path: Path, expected: int, dim: int) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._dim = dim
        self.rows = 0
        self._unsynced = 0
        try:
            if expected:
                os.posix_fallocate(self._file.fileno(), 0, expected * dim * 2)
        except OSError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def write_vectors(self, vectors: HalfVectors) -> None:
        """Append float16[b, dim]."""
        data = np.ascontiguousarray(vectors, np.float16).reshape(-1, self._dim)
        self._file.write(data.data)
        self._digest.update(data.data)
        self.rows += len(data)
        self._unsynced += data.nbytes
        if self._unsynced > SYNCED_BYTES:
            self._file.flush()
            os.fdatasync(self._file.fileno())
            self._unsynced = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is None:
                # Rows may have been deleted since they were counted, and space was taken for all of them.
                self._file.truncate(self.rows * self._dim * 2)
                self._file.flush()
                os.fsync(self._file.fileno())
