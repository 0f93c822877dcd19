"""A segment: an immutable directory of rows. Their vectors, their columns, and what they are searched through.

Everything is mapped into memory, so every process on a host shares one copy in the page cache. `segment.json` is
written last and holds the row count, checksums, the structure with its measured recall, and what was measured to tune
it; a directory without it is not a segment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from ml.atomic_files import fsync
from recommender.index.ann import choose_structure, dot_products, ivf
from recommender.index.ann.ivf import Ivf
from recommender.index.ann.probing import EXACT, Probe, Step, Tuning
from recommender.index.errors import SnapshotDamaged, SnapshotUnreadable
from recommender.index.rows import vector_file
from recommender.index.rows.columns import Columns
from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.rows.vector_file import VectorFile, VectorWriter

from .atomic_directory import born_whole, checksum, fault, read_json, write_file

MANIFEST = "segment.json"
VECTORS = vector_file.NAME
READ_WHOLE = 64 * 1024 * 1024  # larger files are checked at places when they are opened, and whole by `index verify`
PLACES, PLACE_BYTES = 64, 4096


@dataclass(frozen=True)
class Segment:
    """An open segment: `columns` of n rows, `vectors` float16[n, dim], both read-only maps; `ivf` where it has one;
    `untrained` where it is yet to get one."""

    name: str
    directory: Path
    dim: int
    columns: Columns
    vectors: np.ndarray
    recall: float = 1.0
    listings: int = 0
    files: tuple[str, ...] = ()
    ivf: Ivf | None = None
    tuning: Tuning | None = None
    untrained: bool = False

    def __len__(self) -> int:
        return len(self.columns)

    def search(
        self, query: np.ndarray, k: int, selection: RowBitmap, *, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray, Step]:
        """(similarities float32[k'], rows int64[k'], what was done): the k' = min(k, selected) most similar rows.

        query: float16[dim], L2-normalised · selection: of this segment's rows · exact: compare all that is selected
        """
        k = min(k, selection.count)
        if self.ivf is None or self.tuning is None or exact or k == 0:
            similarity, rows = dot_products.nearest(query, self.vectors, selection, k)
            return similarity, rows, Step(EXACT, selection.count, selection.count)
        return Probe(self.ivf, self.vectors, self.tuning, query, selection).run(k)

    def count(self, selection: RowBitmap) -> None:
        """Count it by list, and pack it, for many searches."""
        if self.ivf is not None:
            selection.counts_per_list(self.ivf.list_of, self.ivf.lists)
            selection.bits  # noqa: B018 - cached


def write(
    directory: Path,
    pages: Iterable[tuple[Columns, np.ndarray]],
    *,
    expected: int,
    dim: int,
    model: str,
    tick: Callable[[], None] = lambda: None,
    train: bool = True,
) -> dict[str, Any]:
    """Write rows as a segment, taken as a stream; returns its manifest.

    pages: (columns of b rows, float16[b, dim]) each, all sorted by listing and image · expected: how many rows they
    hold, about · tick: called between steps of a long build · train: build what so many rows are searched through; else
    they are compared whole until a merge does
    Born whole: written beside, fsynced, renamed, its manifest last.
    Raises: OSError (disk full among them); nothing is left behind then.
    """
    with born_whole(directory) as part:
        tables = []
        with VectorWriter(part / VECTORS, expected, dim) as vectors:
            for table, block in pages:
                vectors.write_vectors(block)
                tables.append(table)
                tick()
        columns = Columns.concatenate(tables)
        del tables
        columns.save(part)
        stored = VectorFile(part / VECTORS, vectors.rows, dim)
        structure = choose_structure.build(part, stored, tick) if train else choose_structure.untrained(stored.rows)
        others = sorted(path for path in part.iterdir() if path.name != VECTORS)
        for path in others:
            fsync(path)
            tick()
        manifest = {
            "rows": len(columns),
            "listings": len(np.unique(columns.listing)),
            "dim": dim,
            "model": model,
            "recall": structure.recall,
            "filtered_recall": structure.filtered_recall,
            "structure": {"kind": structure.kind, **(structure.details or {})},
            "files": {VECTORS: vectors.sha256} | {path.name: checksum(path) for path in others},
            "places": {path.name: _places(path) for path in part.iterdir() if path.stat().st_size > READ_WHOLE},
        }
        write_file(part / MANIFEST, json.dumps(manifest, indent=1).encode())
    return manifest


def load(directory: Path, model: str) -> Segment:
    """Open a segment, check it against its manifest, and map its files.

    Large files are checked by size and at places only: reading 20 GB again in every process would push out what
    searches need. `damaged_files` reads all.
    Raises: SnapshotDamaged naming the file; SnapshotUnreadable where it is this process that cannot open it.
    """
    manifest = read_manifest(directory)
    if manifest["model"] != model:
        raise SnapshotDamaged(f"{directory} holds vectors of {manifest['model']}, not of {model}")
    for name in manifest["files"]:
        if _is_altered(directory / name, manifest):
            raise SnapshotDamaged(f"{directory / name} is missing or altered")
    rows, dim, structure = manifest["rows"], manifest["dim"], manifest["structure"]
    try:
        is_ivf, stored = structure["kind"] == choose_structure.IVF, VectorFile(directory / VECTORS, rows, dim)
        if VECTORS in manifest["places"]:  # others were read just now
            stored.read_ahead(settings.INDEX_MEMORY_MB << 20)
        return Segment(
            directory.name,
            directory,
            dim,
            Columns.load(directory),
            stored.open_map(scattered=is_ivf),
            manifest["recall"],
            manifest["listings"],
            tuple(manifest["files"]),
            ivf=ivf.load(directory, rows, dim) if is_ivf else None,
            tuning=Tuning.from_dict(structure["tuning"]) if is_ivf else None,
            untrained=structure.get("untrained", False),
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, MemoryError) as exc:
        raise fault(f"{directory} cannot be opened: {exc}", exc) from exc


def read_manifest(directory: Path) -> dict[str, Any]:
    return read_json(
        directory / MANIFEST, {"rows", "listings", "dim", "model", "recall", "structure", "files", "places"}
    )


def damaged_files(directory: Path, manifest: dict[str, Any]) -> list[str]:
    """Names of files that are missing or whose bytes are not what was written. Raises: SnapshotUnreadable."""
    damaged = []
    for name, expected in manifest["files"].items():
        try:
            if checksum(directory / name) != expected:
                damaged.append(name)
        except OSError as exc:
            found = fault(f"{directory / name} cannot be read: {exc}", exc)
            if isinstance(found, SnapshotUnreadable):
                raise found from exc
            damaged.append(name)
    return damaged


def _is_altered(path: Path, manifest: dict[str, Any]) -> bool:
    try:
        expected = manifest["places"].get(path.name)
        return _places(path) != expected if expected else checksum(path) != manifest["files"][path.name]
    except FileNotFoundError:
        return True
    except OSError as exc:
        raise fault(f"{path} cannot be read: {exc}", exc) from exc


def _places(path: Path) -> str:
    """A checksum of the file's size and of the bytes at its beginning, its end, and between them at even distances."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for place in np.linspace(0, max(0, size - PLACE_BYTES), PLACES).astype(np.int64).tolist():
            file.seek(place)
            digest.update(file.read(PLACE_BYTES))
    return digest.hexdigest()
