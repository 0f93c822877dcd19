"""Finds photos whose files are gone although they are ready: page by page, so that ten millions cost little at a time.

Files are looked for before rows are read again, or a photo that is deleted meanwhile would be taken for lost.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.db.models.fields.files import FieldFile

from listings.models import ListingImage
from ml import images

PAGE = 200
# So long a sweep may look, which is many pages on a disk and one on a slow volume.
LOOK_SECONDS = 0.2
# Where pictures are missing, so many of the oldest and newest are looked for too: an unmounted volume misses all.
WITNESSES = 10
NAMED = 5

UNMOUNTED = (
    "none of the pictures looked for is found under MEDIA_ROOT: mount its volume; if they were deleted, "
    "`manage.py pictures --repair` makes them anew"
)


class PicturesUnmounted(Exception):
    """So much is missing that nothing can be said of single files; the message is for the operator."""


@dataclass
class Found:
    """What a look found: photos whose pictures are gone, and photos whose originals are."""

    looked: int = 0
    lost: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)

    def describe(self) -> str:
        said = []
        if self.lost:
            said.append(f"{_name_photos(self.lost)} lost pictures, which can be made from the originals")
        if self.gone:
            said.append(f"{_name_photos(self.gone)} lost originals: restore ORIGINALS_ROOT from a backup")
        return "; ".join(said)


class Round:
    """One process's way through all photos, some pages at a time, and what it found since it last began."""

    def __init__(self) -> None:
        self._last = 0
        self.found = Found()

    def look_further(self, seconds: float = LOOK_SECONDS) -> tuple[Found, bool]:
        """What is newly found, and whether the round ended with it. Raises PicturesUnmounted."""
        new, deadline, has_ended = Found(), time.monotonic() + seconds, False
        while not has_ended:
            self._last, page = look_at_page(self._last)
            has_ended = self._last == 0
            for found in (new, self.found):
                found.looked += page.looked
                found.lost += page.lost
                found.gone += page.gone
            if time.monotonic() > deadline:
                break
        return new, has_ended


def look_at_page(after: int, *, are_deleted: bool = False) -> tuple[int, Found]:
    """The id to go on after, 0 at the end, and what is missing. `are_deleted`: also where everything is missing."""
    rows = list(_list_ready_photos().filter(pk__gt=after)[:PAGE])
    broken = {row.pk: row for row in rows if not _has_file(row.clean_file) or not _has_file(row.thumb_file)}
    if broken and not are_deleted and not _is_any_other_found(rows, broken):
        raise PicturesUnmounted(UNMOUNTED)
    orphaned = {row.pk for row in rows if not _has_file(row.original)}
    # An originals' volume that is not mounted is told of by the embedding workers, who read it.
    if len(orphaned) == len(rows) and len(rows) > 1:
        orphaned = set()
    still = _list_ready_photos().filter(pk__in=broken.keys() | orphaned).values_list("pk", "clean_file")
    names = dict(still)
    lost = [pk for pk, row in broken.items() if names.get(pk) == row.clean_file.name and pk not in orphaned]
    return (rows[-1].pk if len(rows) == PAGE else 0), Found(len(rows), lost, sorted(orphaned & names.keys()))


def restore_thumbs(photos: Collection[int]) -> list[int]:
    """Make thumbnails from clean pictures that are there. Returns the photos that need a worker for theirs."""
    waiting = []
    for row in _list_ready_photos().filter(pk__in=photos):
        if not _has_file(row.clean_file):
            waiting.append(row.pk)
            continue
        # A disk that is full or a picture that is damaged is told of elsewhere, and the next round comes here again.
        with suppress(OSError, images.PhotoRefused), row.clean_file.open() as file:
            thumb = images.encode_jpeg(images.make_thumb(images.decode(file.read())))
            default_storage.save(row.thumb_file.name, ContentFile(thumb))
    return waiting


def _list_ready_photos() -> QuerySet[ListingImage]:
    ready = ListingImage.objects.filter(state=ListingImage.State.READY).exclude(clean_file="")
    return ready.order_by("pk").only("clean_file", "thumb_file", "original")


def _has_file(file: FieldFile) -> bool:
    return file.name is not None and file.name != "" and file.storage.exists(file.name)


def _is_any_other_found(rows: Collection[ListingImage], broken: Collection[int]) -> bool:
    if len(broken) < len(rows):
        return True
    others = _list_ready_photos().exclude(pk__in=broken)
    witnesses = [*others[:WITNESSES], *others.order_by("-pk")[:WITNESSES]]
    return any(_has_file(row.clean_file) for row in witnesses)


def _name_photos(photos: list[int]) -> str:
    more = f" and {len(photos) - NAMED:,} more" if len(photos) > NAMED else ""
    return f"photo {', '.join(map(str, photos[:NAMED]))}{more}"
