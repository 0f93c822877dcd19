"""A segment's vectors on disk: float16 rows, nothing else, written once from a stream and mapped by every reader."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

NAME = "vectors.f16"
SYNCED_BYTES = 256 * 1024 * 1024  # at a time, so that no lease runs out while gigabytes reach a slow disk
BLOCK = 8_192  # rows read at once: 16 MB at 1000 dimensions


@dataclass(frozen=True)
class VectorFile:
    """`rows` vectors of `dim` dimensions."""

    path: Path
    rows: int
    dim: int

    def map(self, *, scattered: bool) -> np.ndarray:
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

    def read_ahead(self, most: int) -> None:
        """Have the kernel read up to `most` bytes into its cache, so that the first searches do not wait for the disk a
        row at a time. Raises: OSError.
        """
        with self.path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, most, os.POSIX_FADV_WILLNEED)

    def read(self, first: int, last: int) -> np.ndarray:
        """float16[last - first, dim], copied: memory of this process, not pages that stay mapped."""
        return np.fromfile(self.path, np.float16, (last - first) * self.dim, offset=first * self.dim * 2).reshape(
            -1, self.dim
        )

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, float16[b, dim]) of every block, in order."""
        for first in range(0, self.rows, size):
            yield first, self.read(first, min(first + size, self.rows))


def let_go(mapped: np.ndarray) -> None:
    """Take the pages of a map (`VectorFile.map`) out of this process's memory: the kernel maps sixteen where one row is
    read. They stay in the page cache, and are mapped again when they are read."""
    base: Any = mapped
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

    def add(self, vectors: np.ndarray) -> None:
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
