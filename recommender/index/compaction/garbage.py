"""Removes index files that nobody needs.

Files of retired snapshots go at once. What a killed writer left half done goes after ten minutes, and whatever else no
snapshot names after a day: it may be of a writer at work whose snapshot is not published yet.
"""

from __future__ import annotations

import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from recommender.index.storage.atomic_directory import is_abandoned
from recommender.models import IndexHead, IndexSnapshot

from .lease import directory_prefix

ORPHAN_SECONDS, ABANDONED_SECONDS = 86_400, 600

# The table keeps this many rows of retired snapshots, so that an operator can see what happened.
KEPT_ROWS = 50

SnapshotRow = tuple[str, str, list[dict[str, Any]]]  # state, directory and segments, as one query reads them


def collect_garbage() -> int:
    """Delete what no published snapshot names; returns how many directories went.

    A reader that has a deleted file mapped keeps it until it swaps; one that was about to open it takes the next head.
    """
    root = Path(settings.INDEX_ROOT)
    # One statement reads them all: between one for published and one for retired snapshots, a snapshot could be
    # published that shares segments with one that is retired then.
    rows = list(IndexSnapshot.objects.values_list("state", "directory", "segments"))
    published = [row for row in rows if row[0] == IndexSnapshot.State.PUBLISHED]
    retired = [row for row in rows if row[0] != IndexSnapshot.State.PUBLISHED]
    token = IndexHead.load().token
    removed = _remove_unneeded_directories(
        root / "snapshots", _directory_names(published), _directory_names(retired), token
    )
    removed += _remove_unneeded_directories(
        root / "segments", _segment_names(published), _segment_names(retired), token
    )
    _delete_old_retired_rows()
    return removed


def _delete_old_retired_rows() -> None:
    """Keep the newest KEPT_ROWS rows of retired snapshots, and the head's, which nothing may be able to replace yet."""
    published = IndexSnapshot.objects.filter(state=IndexSnapshot.State.PUBLISHED)
    retired = IndexSnapshot.objects.exclude(state=IndexSnapshot.State.PUBLISHED)
    kept = list(retired.order_by("-pk").values_list("pk", flat=True)[:KEPT_ROWS])
    old = retired.filter(pk__lt=published.order_by("-pk").values_list("pk", flat=True).first() or 0)
    old.exclude(pk__in=kept).exclude(
        pk__in=IndexHead.objects.filter(snapshot__isnull=False).values("snapshot")
    ).delete()


def _remove_unneeded_directories(folder: Path, needed: set[str], superseded: set[str], token: uuid.UUID | None) -> int:
    removed = 0
    for directory in folder.glob("*"):
        if directory.name not in needed and (directory.name in superseded or _is_orphan(directory, token)):
            shutil.rmtree(directory, ignore_errors=True)
            removed += 1
    return removed


def _is_orphan(directory: Path, token: uuid.UUID | None) -> bool:
    if token is not None and directory.name.startswith(directory_prefix(token)):
        return False  # whoever holds the lease may still be writing it
    with suppress(OSError):  # another process may have renamed or removed it since it was listed
        age = time.time() - directory.stat().st_mtime
        return age > ORPHAN_SECONDS or (age > ABANDONED_SECONDS and is_abandoned(directory))
    return False


def _directory_names(snapshots: list[SnapshotRow]) -> set[str]:
    return {directory for _, directory, _ in snapshots}


def _segment_names(snapshots: list[SnapshotRow]) -> set[str]:
    return {entry["name"] for _, _, listed in snapshots for entry in listed}
