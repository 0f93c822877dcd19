"""A snapshot: a manifest that names segments, with a bitmap of the live rows of each.

Snapshots share segments; only the bitmaps are their own. The manifest is written last. It names the epoch of the
database's history, the model and the feed position, so files of another history or model are recognised in whatever
directory they turn up.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from ml.atomic_files import write_and_sync_file
from ml.recipe import file_sha256
from recommender.index.errors import SnapshotDamaged
from recommender.index.rows.arrays import Mask

from . import segment as segments
from .atomic_directory import make_damage_error, read_checked_json, write_directory_atomically
from .segment import Segment

MANIFEST = "manifest.json"
# The clock of a machine may be corrected by so many seconds without being taken as set.
CLOCK_SLACK = 60.0


@dataclass(frozen=True)
class Part:
    """A segment within a snapshot; `live` is bool[n], `dead_since` when its first row was deleted (epoch seconds)."""

    segment: Segment
    live: Mask
    dead_since: float | None = None

    @property
    def dead_seconds(self) -> float:
        """For how long it has held deleted rows; 0 if it holds none."""
        if self.dead_since is None:
            return 0.0
        seconds = time.time() - self.dead_since
        # Less than nothing: the clock was set back since, and nobody knows for how long. It counts as too long.
        return max(0.0, seconds) if seconds > -CLOCK_SLACK else math.inf

    def describe_part(self) -> dict[str, object]:
        """What `index status` prints about it."""
        live, segment = int(np.count_nonzero(self.live)), self.segment
        lists = segment.ivf.list_count if segment.ivf else None
        return {"name": segment.name, "rows": len(segment), "live": live, "lists": lists, "recall": segment.recall}


@dataclass(frozen=True)
class Snapshot:
    """An open snapshot; `id` and `directory` are None for the empty one every history begins with."""

    id: int | None
    directory: str | None
    epoch: uuid.UUID
    model_id: int
    model_version: str
    dim: int
    position: str
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        return sum(int(np.count_nonzero(part.live)) for part in self.parts)

    @property
    def recall(self) -> float:
        """Recall at 10: the mean of what was measured when each segment was built, weighted by its live rows."""
        live = [int(np.count_nonzero(part.live)) for part in self.parts]
        found = sum(rows * part.segment.recall for rows, part in zip(live, self.parts, strict=True))
        return found / sum(live) if sum(live) else 1.0


def purge_seconds() -> float:
    """Within how many seconds the vectors of deleted photos must have left the files."""
    return settings.PURGE_DAYS * 86_400


def segment_directory(name: str) -> Path:
    return Path(settings.INDEX_ROOT) / "segments" / name


def snapshot_directory(name: str) -> Path:
    return Path(settings.INDEX_ROOT) / "snapshots" / name


def write_snapshot(name: str, snapshot: Snapshot) -> list[dict[str, object]]:
    """Write a snapshot of segments that are on disk already; return the manifest's list of segments."""
    listed = []
    with write_directory_atomically(snapshot_directory(name)) as beside:
        for number, part in enumerate(snapshot.parts):
            bitmap = f"live-{number}.bits"
            write_and_sync_file(beside / bitmap, np.packbits(part.live, bitorder="little").tobytes())
            listed.append(
                {
                    "name": part.segment.name,
                    "rows": len(part.segment),
                    "live": int(np.count_nonzero(part.live)),
                    "dead_since": part.dead_since,
                    "bitmap": bitmap,
                    "checksum": file_sha256(beside / bitmap),
                }
            )
        manifest = {
            "epoch": str(snapshot.epoch),
            "model": snapshot.model_version,
            "dim": snapshot.dim,
            "normalised": True,
            "position": snapshot.position,
            "rows": snapshot.rows,
            "recall": snapshot.recall,
            "segments": listed,
        }
        # The manifest is written last, because a directory that has one counts as whole.
        write_and_sync_file(beside / MANIFEST, json.dumps(manifest, indent=1).encode())
    return listed


def read_manifest(name: str) -> dict[str, Any]:
    return read_checked_json(snapshot_directory(name) / MANIFEST, {"epoch", "model", "dim", "position", "segments"})


def open_snapshot(row: Any, epoch: uuid.UUID, known: Sequence[Segment] = ()) -> Snapshot:
    """Open the files of an IndexSnapshot row (with its model), reusing segments that are open already.

    Raises: SnapshotDamaged where a file is missing or altered, or the manifest is of another history or model.
    """
    manifest = read_manifest(row.directory)
    if manifest["epoch"] != str(epoch):
        raise SnapshotDamaged(f"{row.directory} belongs to another history ({manifest['epoch']}, here {epoch})")
    if manifest["model"] != row.model.version or manifest["dim"] != row.model.dim:
        raise SnapshotDamaged(f"{row.directory} is of model {manifest['model']}, not of {row.model.version}")
    if manifest["position"] != row.position:
        raise SnapshotDamaged(f"{row.directory} stands at another feed position than its row says")
    already = {segment.name: segment for segment in known}
    return Snapshot(
        id=row.pk,
        directory=row.directory,
        epoch=epoch,
        model_id=row.model_id,
        model_version=row.model.version,
        dim=row.model.dim,
        position=row.position,
        parts=tuple(_load_part(row, entry, already) for entry in manifest["segments"]),
    )


def find_missing_files(snapshot: Snapshot) -> list[Path]:
    """Files of an open snapshot that are no longer on disk."""
    expected = [snapshot_directory(snapshot.directory) / MANIFEST] if snapshot.directory else []
    for part in snapshot.parts:
        directory = segment_directory(part.segment.name)
        expected += [directory / segments.MANIFEST, *(directory / name for name in part.segment.files)]
    return [path for path in expected if not path.exists()]


def _load_part(row: Any, entry: dict[str, Any], already: dict[str, Segment]) -> Part:
    name = entry["name"]
    segment = already.get(name)
    if segment is None:
        segment = segments.open_segment(segment_directory(name), row.model.version)
    path = snapshot_directory(row.directory) / entry["bitmap"]
    try:
        intact = file_sha256(path) == entry["checksum"]
        bits = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as exc:
        raise make_damage_error(f"{path} cannot be read: {exc}", exc) from exc
    if not intact or len(segment) != entry["rows"] or segment.dim != row.model.dim:
        raise SnapshotDamaged(f"{path} or segment {name} is not what the manifest says")
    live = np.unpackbits(bits, count=len(segment), bitorder="little").astype(bool)
    return Part(segment, live, entry["dead_since"])
