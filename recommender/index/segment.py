"""A segment: an immutable directory of rows. An exact FAISS structure over float16 vectors, and their columns.

The vectors are stored once, as the codes of a flat FAISS index with float16 codes, and mapped into memory by FAISS and
by numpy alike, so every process on a host shares one copy in the page cache. `segment.json` is written last and holds
the row count and checksums; a directory without it is not a segment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ml.whole_file import fsync

from .columns import Columns
from .errors import SnapshotDamaged
from .files import born_whole, checksum, read_json, write_file

MANIFEST = "segment.json"
VECTORS = "vectors.faiss"


@dataclass(frozen=True)
class Segment:
    """An open segment: `columns` of n rows, `vectors` float16[n, dim], both read-only maps."""

    name: str
    directory: Path
    dim: int
    columns: Columns
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.columns)

    @cached_property
    def _faiss(self) -> Any:
        import faiss

        return faiss.read_index(str(self.directory / VECTORS), faiss.IO_FLAG_MMAP_IFC)

    def open_index(self) -> None:
        """Map the FAISS structure now, so that deleting the files later cannot fail a search."""
        if self._faiss.ntotal != len(self) or self._faiss.d != self.dim:
            raise SnapshotDamaged(f"{self.directory / VECTORS} does not hold {len(self)} vectors of {self.dim}")

    def search(self, queries: np.ndarray, k: int, passing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(similarities float32[m, k'], rows int64[m, k']) of the k' = min(k, rows that pass) most similar rows.

        queries: float32[m, dim], L2-normalised · passing: bool[n]
        """
        import faiss

        faiss.omp_set_num_threads(1)
        count = int(np.count_nonzero(passing))
        k = min(k, count)
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        if count == len(self):
            return self._faiss.search(queries, k)
        bits = np.packbits(passing, bitorder="little")
        selected = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
        return self._faiss.search(queries, k, params=selected)


def write(directory: Path, columns: Columns, vectors: np.ndarray, model: str) -> dict[str, Any]:
    """Write rows (sorted by listing and image) as a segment; returns its manifest.

    vectors: float16[n, dim]. Born whole: written beside, fsynced, renamed, its manifest last.
    Raises: OSError (disk full among them); nothing is left behind then.
    """
    import faiss

    rows, dim = vectors.shape
    index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True
    for start in range(0, rows, 10_000):
        index.add(vectors[start : start + 10_000].astype(np.float32))
    with born_whole(directory) as part:
        try:
            faiss.write_index(index, str(part / VECTORS))
        except RuntimeError as exc:  # FAISS's own words are about lines of its source
            raise OSError(f"{part / VECTORS} cannot be written; is the disk full?") from exc
        fsync(part / VECTORS)
        for name, content in columns.files().items():
            write_file(part / name, content)
        manifest = {
            "rows": rows,
            "dim": dim,
            "model": model,
            "structure": "exact",
            "files": {path.name: checksum(path) for path in sorted(part.iterdir())},
        }
        write_file(part / MANIFEST, json.dumps(manifest, indent=1).encode())
    return manifest


def load(directory: Path, model: str) -> Segment:
    """Open a segment, check it against its manifest's checksums, and map its files.

    Raises: SnapshotDamaged naming the file.
    """
    manifest = read_manifest(directory)
    if manifest["model"] != model:
        raise SnapshotDamaged(f"{directory} holds vectors of {manifest['model']}, not of {model}")
    for name in damaged_files(directory, manifest):
        raise SnapshotDamaged(f"{directory / name} is missing or altered")
    rows, dim = manifest["rows"], manifest["dim"]
    try:
        offset = (directory / VECTORS).stat().st_size - rows * dim * 2
        vectors = np.memmap(directory / VECTORS, np.float16, "r", offset, (rows, dim))
        segment = Segment(directory.name, directory, dim, Columns.load(directory), vectors)
        segment.open_index()
    except (OSError, ValueError, RuntimeError) as exc:
        raise SnapshotDamaged(f"{directory} cannot be opened: {exc}") from exc
    return segment


def read_manifest(directory: Path) -> dict[str, Any]:
    return read_json(directory / MANIFEST, {"rows", "dim", "model", "files"})


def damaged_files(directory: Path, manifest: dict[str, Any]) -> list[str]:
    """Names of files that are missing or whose bytes are not what was written."""
    damaged = []
    for name, expected in manifest["files"].items():
        try:
            if checksum(directory / name) != expected:
                damaged.append(name)
        except OSError:
            damaged.append(name)
    return damaged
