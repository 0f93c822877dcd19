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

NAME = "vectors.f16"
SYNCED_BYTES = 256 * 1024 * 1024  # at a time, so that no lease runs out while gigabytes reach a slow disk
READ_AHEAD_BYTES = 128 * 1024  # what Linux reads ahead at a time, unless it is told otherwise
BLOCK_ROWS = 8_192  # rows read at once: 16 MB at 1000 dimensions


@dataclass(frozen=True)
class VectorFile:
    """`rows` vectors of `dim` dimensions."""

    path: Path
    rows: int
    dim: int

    def open_map(self, *, scattered: bool) -> np.ndarray:
        """float16[rows, dim], a read-only map shared through the page cache.

        `scattered`: a few rows here and there will be read, so that reading ahead would only push out other pages.
        Raises: OSError, ValueError where the file is missing or has another size.
        """
        if self.path.stat().st_size != self.rows * self.dim * 2:
            raise ValueError(f"{self.path} does not hold {self.rows} vectors of {self.dim}")
        if self.rows == 0:
            return np.empty((0, self.dim), np.float16)
        with self.path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if scattered:
            mapped.madvise(mmap.MADV_RANDOM)
        return np.frombuffer(mapped, np.float16).reshape(self.rows, self.dim)

    def read_ahead(self, most: int) -> threading.Thread:
        """Have up to `most` bytes read into the kernel's cache, beside everything else, so that the first searches do
        not wait for the disk a row at a time. Whatever hinders it is no fault.
        """
        reader = threading.Thread(target=self._advise, args=(most,), name="index-read-ahead", daemon=True)
        with suppress(RuntimeError):  # no thread to be had
            reader.start()
        return reader

    def _advise(self, most: int) -> None:
        with suppress(OSError), self.path.open("rb") as file:
            # The kernel reads no more than its window at a time, however much it is asked for.
            for place in range(0, min(most, self.rows * self.dim * 2), READ_AHEAD_BYTES):
                os.posix_fadvise(file.fileno(), place, READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)

    def read_range(self, first: int, last: int) -> np.ndarray:
        """float16[last - first, dim], copied: memory of this process, not pages that stay mapped."""
        return np.fromfile(self.path, np.float16, (last - first) * self.dim, offset=first * self.dim * 2).reshape(
            -1, self.dim
        )

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        """float16[r, dim] of int64[r], read one by one. Through a map each could make the kernel count half a megabyte
        around it as this process's memory. Raises: OSError.
        """
        found = np.empty((len(rows), self.dim), np.float16)
        with self.path.open("rb") as file:
            for row, into in zip(rows.tolist(), found, strict=True):
                if os.preadv(file.fileno(), [into.data], row * self.dim * 2) != into.nbytes:
                    raise OSError(f"{self.path} ends before row {row}")
        return found

    def iterate_blocks(self, size: int = BLOCK_ROWS) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, float16[b, dim]) of every block, in order."""
        for first in range(0, self.rows, size):
            yield first, self.read_range(first, min(first + size, self.rows))


def mapped_bytes() -> int:
    """Bytes of mapped files that count as this process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[2]) * mmap.PAGESIZE


def release_pages(mapped: np.ndarray) -> None:
    """Take the pages of a map (`VectorFile.map`) out of this process's memory: where one row is read the kernel maps
    half a megabyte or more, as large as the pages are that its cache made of the file. They stay in the page cache, and
    are mapped again when they are read."""
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

    def write_vectors(self, vectors: np.ndarray) -> None:
        """float16[b, dim]"""
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
                self._file.truncate(self.rows * self._dim * 2)
                self._file.flush()
                os.fsync(self._file.fileno())
