"""A segment: an immutable directory with the vectors and columns of some rows, and what they are searched through.

All files are memory-mapped, so the processes of a host share one copy in the page cache. `segment.json` is written
last: a directory without it is not a segment. It holds the row count, checksums, and the structure with its
measured recall and search parameters.
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

from ml.atomic_files import sync_to_disk, write_and_sync_file
from ml.recipe import file_sha256
from recommender.index.ann import choose_structure, dot_products, ivf
from recommender.index.ann.ivf import Ivf
from recommender.index.ann.probing import EXACT, Probe, SegmentPlan, Tuning
from recommender.index.errors import SnapshotDamaged, SnapshotUnreadable
from recommender.index.rows import vector_file
from recommender.index.rows.arrays import HalfVectors, RowIds, Similarities
from recommender.index.rows.columns import Columns
from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.rows.vector_file import VectorFile, VectorWriter

from .atomic_directory import make_damage_error, read_checked_json, write_directory_atomically

MANIFEST = "segment.json"
VECTORS = vector_file.NAME
# Larger files are checked at SAMPLED_PLACES places alone when they are opened: reading 20 GB again in every process
# would push out of the page cache what searches need. `index verify` reads them whole.
READ_WHOLE_BELOW = 64 * 1024 * 1024
SAMPLED_PLACES, PLACE_BYTES = 64, 4096


@dataclass(frozen=True)
class Segment:
    """An open segment of n rows; `columns` and `vectors`, float16[n, dim], are read-only maps.

    `ivf` and `tuning` are None where it is searched exactly; `untrained` says that a merge will train an inverted file.
    """

    name: str
    directory: Path
    dim: int
    columns: Columns
    vectors: HalfVectors
    recall: float = 1.0
    listings: int = 0
    files: tuple[str, ...] = ()
    ivf: Ivf | None = None
    tuning: Tuning | None = None
    untrained: bool = False
    filtered_recall: float = 1.0

    def __len__(self) -> int:
        return len(self.columns)

    def find_nearest_rows(
        self, query: HalfVectors, k: int, selection: RowBitmap, *, exact: bool = False
    ) -> tuple[Similarities, RowIds, SegmentPlan]:
        """The k' = min(k, selected) most similar rows: (similarities float32[k'], rows int64[k'], what was done).

        query: float16[dim], L2-normalised · selection: of this segment's rows · exact: compare all that is selected
        """
        k = min(k, selection.count)
        if self.ivf is None or self.tuning is None or exact or k == 0:
            similarity, rows = dot_products.nearest_rows(query, self.vectors, selection, k)
            return similarity, rows, SegmentPlan(EXACT, selection.count, selection.count)
        return Probe(self.ivf, self.vectors, self.tuning, query, selection).find_nearest_rows(k)

    def warm_filter_cache(self, selection: RowBitmap) -> None:
        """Compute what the bitmap caches for searches of this segment, before it is shared by many of them."""
        if self.ivf is not None:
            selection.counts_per_list(self.ivf.list_of, self.ivf.list_count)
            selection.bits  # noqa: B018 - reading the property packs the bits, which the bitmap keeps


def write_segment(
    directory: Path,
    pages: Iterable[tuple[Columns, HalfVectors]],
    *,
    expected: int,
    dim: int,
    model: str,
    tick: Callable[[], None] = lambda: None,
    train: bool = True,
) -> dict[str, object]:
    """Write a stream of rows as a segment, all of it or nothing, and return its manifest.

    pages: (columns of b rows, float16[b, dim]) each, all sorted by listing and image · expected: about how many rows
    they hold · tick: called between steps of a long build · train: build an inverted file where so many rows deserve
    one; else they are searched exactly until a merge builds it
    Raises: OSError, such as a full disk; nothing is left behind then.
    """
    with write_directory_atomically(directory) as part:
        tables = []
        with VectorWriter(part / VECTORS, expected, dim) as vectors:
            for table, block in pages:
                vectors.write_vectors(block)
                tables.append(table)
                tick()
        columns = Columns.concatenate(tables)
        del tables  # the columns were copied; both copies at once would double the memory of a large merge
        columns.save(part)
        stored = VectorFile(part / VECTORS, vectors.rows, dim)
        structure = (
            choose_structure.build_search_structure(part, stored, tick)
            if train
            else choose_structure.choose_flush_structure(stored.rows)
        )
        others = sorted(path for path in part.iterdir() if path.name != VECTORS)
        # Every file is on the disk before the manifest names it: no power cut may leave a manifest that names a missing
        # file.
        for path in others:
            sync_to_disk(path)
            tick()
        manifest = {
            "rows": len(columns),
            "listings": len(np.unique(columns.listing)),
            "dim": dim,
            "model": model,
            "recall": structure.recall,
            "filtered_recall": structure.filtered_recall,
            "structure": {"kind": structure.kind, **(structure.details or {})},
            "files": {VECTORS: vectors.sha256} | {path.name: file_sha256(path) for path in others},
            "places": {
                path.name: _sampled_sha256(path) for path in part.iterdir() if path.stat().st_size > READ_WHOLE_BELOW
            },
        }
        write_and_sync_file(part / MANIFEST, json.dumps(manifest, indent=1).encode())
    return manifest


def open_segment(directory: Path, model: str) -> Segment:
    """Open a segment, check it against its manifest, and map its files. `find_damaged_files` checks every byte.

    Raises: SnapshotDamaged naming the file; SnapshotUnreadable where it is this process that cannot open it.
    """
    manifest = read_manifest(directory)
    if manifest["model"] != model:
        raise SnapshotDamaged(f"{directory} holds vectors of {manifest['model']}, not of {model}")
    for name in manifest["files"]:
        if _is_missing_or_altered(directory / name, manifest):
            raise SnapshotDamaged(f"{directory / name} is missing or altered")
    rows, dim, structure = manifest["rows"], manifest["dim"], manifest["structure"]
    try:
        is_ivf, stored = structure["kind"] == choose_structure.IVF, VectorFile(directory / VECTORS, rows, dim)
        # Smaller files were read whole just now to check them, so they are in the page cache.
        if VECTORS in manifest["places"]:
            stored.start_read_ahead(settings.INDEX_MEMORY_MB << 20)
        return Segment(
            directory.name,
            directory,
            dim,
            Columns.load(directory),
            stored.open_map(scattered=is_ivf),
            manifest["recall"],
            manifest["listings"],
            tuple(manifest["files"]),
            ivf=ivf.open_ivf(directory, rows, dim) if is_ivf else None,
            tuning=Tuning.from_dict(structure["tuning"]) if is_ivf else None,
            untrained=structure.get("untrained", False),
            filtered_recall=manifest.get("filtered_recall", 1.0),
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, MemoryError) as exc:
        raise make_damage_error(f"{directory} cannot be opened: {exc}", exc) from exc


def read_manifest(directory: Path) -> dict[str, Any]:
    return read_checked_json(
        directory / MANIFEST, {"rows", "listings", "dim", "model", "recall", "structure", "files", "places"}
    )


def find_damaged_files(directory: Path, manifest: dict[str, Any]) -> list[str]:
    """Names of files that are missing or differ from what was written. Raises: SnapshotUnreadable."""
    damaged = []
    for name, expected in manifest["files"].items():
        try:
            if file_sha256(directory / name) != expected:
                damaged.append(name)
        except OSError as exc:
            found = make_damage_error(f"{directory / name} cannot be read: {exc}", exc)
            if isinstance(found, SnapshotUnreadable):
                raise found from exc
            damaged.append(name)
    return damaged


def _is_missing_or_altered(path: Path, manifest: dict[str, Any]) -> bool:
    try:
        expected = manifest["places"].get(path.name)
        return _sampled_sha256(path) != expected if expected else file_sha256(path) != manifest["files"][path.name]
    except FileNotFoundError:
        return True
    except OSError as exc:
        raise make_damage_error(f"{path} cannot be read: {exc}", exc) from exc


def _sampled_sha256(path: Path) -> str:
    """A checksum of the file's size and of blocks at its beginning, at its end, and at even distances between them."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for place in np.linspace(0, max(0, size - PLACE_BYTES), SAMPLED_PLACES).astype(np.int64).tolist():
            file.seek(place)
            digest.update(file.read(PLACE_BYTES))
    return digest.hexdigest()
