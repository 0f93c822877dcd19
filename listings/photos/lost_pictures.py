"""Finds photos whose files are gone although they are ready: page by page, so that ten millions cost little at a time.

Files are looked for before rows are read again, or a photo that is deleted meanwhile would be taken for lost.
"""

from __future__ import annotations

import math
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
# So long it may make thumbnails, of which a second makes some 100, since leases of the dead wait for the next sweep.
RESTORE_SECONDS = 2.0
# Where files are missing, so many of the oldest and newest are looked for too.
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

    def add(self, page: Found) -> None:
        self.looked += page.looked
        self.lost += page.lost
        self.gone += page.gone

    def describe(self, *, are_repaired: bool = False) -> str:
        said = []
        if self.lost:
            remedy = "are made" if are_repaired else "can be made"
            said.append(f"{_name_photos(self.lost)} lost pictures, which {remedy} from the originals")
        if self.gone:
            said.append(f"{_name_photos(self.gone)} lost originals: restore ORIGINALS_ROOT from a backup")
        return "; ".join(said)


class Round:
    """One process's way through all photos, some at a time, and what it found since it last began."""

    def __init__(self) -> None:
        self._last = 0
        self._unrestored: list[int] = []
        self.found = Found()

    def repair_further(self) -> tuple[list[int], bool]:
        """Look, and restore thumbnails. Returns photos that need a worker, and whether the round ended with them.

        Raises PicturesUnmounted.
        """
        waiting: list[int] = []
        began = time.monotonic()
        while True:
            # What is found is dealt with before more is looked for, so that it never piles up.
            if not self._unrestored:
                self._last, page = look_at_page(self._last)
                self.found.add(page)
                self._unrestored = page.lost
            need_worker, self._unrestored = restore_thumbs(self._unrestored, began + RESTORE_SECONDS)
            waiting += need_worker
            has_ended = self._last == 0 and not self._unrestored
            if has_ended or self._unrestored or time.monotonic() > began + LOOK_SECONDS:
                return waiting, has_ended


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


def restore_thumbs(photos: Collection[int], until: float = math.inf) -> tuple[list[int], list[int]]:
    """Make thumbnails from clean pictures, `until` that moment of the monotonic clock.

    Returns the photos that need a worker for their pictures, and those for which time was over.
    """
    waiting, left = [], []
    for row in _list_ready_photos().filter(pk__in=photos):
        if time.monotonic() > until:
            left.append(row.pk)
        elif not _has_file(row.clean_file) or not (_has_file(row.thumb_file) or _restore_thumb(row)):
            waiting.append(row.pk)
    return waiting, left


def _restore_thumb(row: ListingImage) -> bool:
    """Whether its clean picture is a picture; one that is damaged is made anew by a worker, and its thumbnail too."""
    try:
        with row.clean_file.open() as file:
            thumb = images.encode_jpeg(images.make_thumb(images.decode(file.read())))
        default_storage.save(row.thumb_file.name, ContentFile(thumb))
    except images.PhotoRefused:
        return False
    except OSError:
        # A disk that is full is told of elsewhere, and the next round comes here again, unless half a file passes for
        # a whole one.
        with suppress(OSError):
            default_storage.delete(str(row.thumb_file.name))
    return True


def _list_ready_photos() -> QuerySet[ListingImage]:
    ready = ListingImage.objects.filter(state=ListingImage.State.READY).exclude(clean_file="")
    return ready.order_by("pk").only("clean_file", "thumb_file", "original")


def _has_file(file: FieldFile) -> bool:
    return file.name is not None and file.name != "" and file.storage.exists(file.name)


def _is_any_other_found(rows: Collection[ListingImage], broken: Collection[int]) -> bool:
    if len(broken) < len(rows):
        return True
    return is_any_found(_list_ready_photos().exclude(pk__in=broken), "clean_file")


def is_any_found(photos: QuerySet[ListingImage], field: str) -> bool:
    """Whether the files of some of these photos are found: then one that is missing is lost, and its volume mounted.

    An unmounted volume is an empty directory and misses all of them; a marker file would have to be put there by
    somebody.
    """
    witnesses = [*photos.order_by("pk")[:WITNESSES], *photos.order_by("-pk")[:WITNESSES]]
    return any(_has_file(getattr(row, field)) for row in witnesses)


def _name_photos(photos: list[int]) -> str:
    more = f" and {len(photos) - NAMED:,} more" if len(photos) > NAMED else ""
    return f"photo {', '.join(map(str, photos[:NAMED]))}{more}"
