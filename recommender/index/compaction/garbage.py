"""Removes index files that nobody needs: of retired snapshots at once; after ten minutes what a writer that was killed
left half done; what else is of unknown origin after a day."""

from __future__ import annotations

import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from recommender.index.storage.atomic_directory import is_abandoned
from recommender.models import IndexHead, IndexSnapshot

ORPHAN_SECONDS, ABANDONED_SECONDS = 86_400, 600
KEPT_ROWS = 50


def collect_garbage() -> int:
    """Delete what no retained snapshot names; returns how many directories went.

    A reader that has a deleted file mapped keeps it until it swaps; one that was about to open it takes the next head.
    """
    root = Path(settings.INDEX_ROOT)
    # One statement: between two, a snapshot that shares a segment could be published and its parent retired.
    rows = list(IndexSnapshot.objects.values_list("state", "directory", "segments"))
    retained = [row for row in rows if row[0] == IndexSnapshot.State.PUBLISHED]
    retired = [row for row in rows if row[0] != IndexSnapshot.State.PUBLISHED]
    token = IndexHead.load().token
    removed = _remove_unneeded(root / "snapshots", _directory_names(retained), _directory_names(retired), token)
    removed += _remove_unneeded(root / "segments", _segment_names(retained), _segment_names(retired), token)
    _delete_retired_rows()
    return removed


def _delete_retired_rows() -> None:
    """Delete rows of retired snapshots but the newest; the head's stays while nothing could replace it."""
    retained = IndexSnapshot.objects.filter(state=IndexSnapshot.State.PUBLISHED)
    retired = IndexSnapshot.objects.exclude(state=IndexSnapshot.State.PUBLISHED)
    kept = list(retired.order_by("-pk").values_list("pk", flat=True)[:KEPT_ROWS])
    old = retired.filter(pk__lt=retained.order_by("-pk").values_list("pk", flat=True).first() or 0)
    old.exclude(pk__in=kept).exclude(
        pk__in=IndexHead.objects.filter(snapshot__isnull=False).values("snapshot")
    ).delete()


def _remove_unneeded(folder: Path, needed: set[str], superseded: set[str], token: uuid.UUID | None) -> int:
    removed = 0
    for directory in folder.glob("*"):
        if directory.name not in needed and (directory.name in superseded or _is_orphan(directory, token)):
            shutil.rmtree(directory, ignore_errors=True)
            removed += 1
    return removed


def _is_orphan(directory: Path, token: uuid.UUID | None) -> bool:
    if token is not None and directory.name.startswith(token.hex[:12]):
        return False
    with suppress(OSError):  # renamed or removed by another process since it was listed, or not ours to open
        age = time.time() - directory.stat().st_mtime
        return age > ORPHAN_SECONDS or (age > ABANDONED_SECONDS and is_abandoned(directory))
    return False


def _directory_names(snapshots: list[tuple[str, str, list]]) -> set[str]:
    return {directory for _, directory, _ in snapshots}


def _segment_names(snapshots: list[tuple[str, str, list]]) -> set[str]:
    return {entry["name"] for _, _, listed in snapshots for entry in listed}
