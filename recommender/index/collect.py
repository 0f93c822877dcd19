"""Removes index files that nobody needs: of retired snapshots at once, of unknown origin after a day."""

from __future__ import annotations

import shutil
import time
import uuid
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet

from recommender.models import IndexHead, IndexSnapshot

ORPHAN_SECONDS = 86_400
KEPT_ROWS = 50


def collect() -> int:
    """Delete what no retained snapshot names; returns how many directories went.

    A reader that has a deleted file mapped keeps it until it swaps; one that was about to open it takes the next head.
    """
    root = Path(settings.INDEX_ROOT)
    retained = IndexSnapshot.objects.filter(state=IndexSnapshot.State.PUBLISHED)
    retired = IndexSnapshot.objects.exclude(state=IndexSnapshot.State.PUBLISHED)
    token = IndexHead.objects.values_list("token", flat=True).get(pk=1)
    removed = _clear(root / "snapshots", _directories(retained), _directories(retired), token)
    removed += _clear(root / "segments", _segments(retained), _segments(retired), token)
    retired.filter(pk__lt=retained.order_by("-pk").values_list("pk", flat=True).first() or 0).exclude(
        pk__in=list(retired.order_by("-pk").values_list("pk", flat=True)[:KEPT_ROWS])
    ).delete()
    return removed


def _clear(folder: Path, needed: set[str], superseded: set[str], token: uuid.UUID | None) -> int:
    removed = 0
    for directory in folder.glob("*"):
        mine = token is not None and directory.name.startswith(token.hex[:12])
        unknown = not mine and time.time() - directory.stat().st_mtime > ORPHAN_SECONDS
        if directory.name not in needed and (directory.name in superseded or unknown):
            shutil.rmtree(directory, ignore_errors=True)
            removed += 1
    return removed


def _directories(snapshots: QuerySet[IndexSnapshot]) -> set[str]:
    return set(snapshots.values_list("directory", flat=True))


def _segments(snapshots: QuerySet[IndexSnapshot]) -> set[str]:
    return {entry["name"] for listed in snapshots.values_list("segments", flat=True) for entry in listed}
