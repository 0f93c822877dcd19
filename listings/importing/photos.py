"""Originals into the storage first, then the rows of a whole batch in one transaction.

A photo is known by its external id in `ImportedPhoto`, written with it. Whatever stops an import, running it again adds
what is missing; files whose rows were never written are swept as orphans.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from listings.models import ImportedPhoto, Listing, ListingImage
from listings.photos.signals import photos_added
from listings.photos.uploads import CheckedPhoto
from listings.services import kept_photos, store_original_file


class Room:
    """How many photos each of these listings may still take, which it has, and which position is next."""

    def __init__(self, listing_ids: Collection[int]) -> None:
        self._left: dict[int, int] = defaultdict(lambda: settings.PHOTOS_PER_LISTING)
        self._there: set[tuple[int, str]] = set()
        self._next: dict[int, int] = defaultdict(int)
        kept = kept_photos().filter(listing__in=listing_ids).order_by()
        for listing_id, sha256 in kept.values_list("listing", "sha256"):
            self._left[listing_id] -= 1
            self._there.add((listing_id, sha256))
        # Rejected photos take no place, but they keep their position.
        positions = ListingImage.objects.filter(listing__in=listing_ids).order_by().values_list("listing")
        for listing_id, last in positions.annotate(Max("position")):
            self._next[listing_id] = last + 1

    def is_full(self, listing_id: int) -> bool:
        return self._left[listing_id] <= 0

    def is_repeated(self, image: ListingImage) -> bool:
        """Whether its listing has a photo of the same bytes, or was given one here."""
        return (image.listing_id, image.sha256) in self._there

    def reserve_place(self, image: ListingImage) -> None:
        self._left[image.listing_id] -= 1
        self._there.add((image.listing_id, image.sha256))

    def allocate_position(self, listing_id: int) -> int:
        position = self._next[listing_id]
        self._next[listing_id] += 1
        return position


def find_imported_ids(external_ids: Collection[str]) -> set[str]:
    return set(ImportedPhoto.objects.filter(external_id__in=external_ids).values_list("external_id", flat=True))


def store_original(listing_id: int, created_at: datetime, photo: CheckedPhoto) -> ListingImage:
    """The photo's row, not saved yet, with its file in the storage."""
    image = ListingImage(
        listing_id=listing_id,
        sha256=photo.sha256,
        width=photo.width,
        height=photo.height,
        source=ListingImage.Source.IMPORT,
        created_at=created_at,
    )
    store_original_file(image, photo)
    return image


@dataclass(frozen=True)
class Saved:
    """How many rows were written; the external ids of photos that their listing had no room for, or had already."""

    made: int
    too_many: set[str]
    repeated: set[str]


def save_photo_rows_and_notify(stored: Mapping[str, ListingImage]) -> Saved:
    """Write the rows of stored photos by external id, and tell who listens.

    A listing that was deleted meanwhile takes none, and one that was given photos meanwhile takes what it has room for.
    Bytes that a listing has already stay one photo.
    """
    with transaction.atomic():
        wanted = {image.listing_id for image in stored.values()}
        # Locked, so that no listing is deleted between this query and the insert of its photos.
        present = set(Listing.objects.select_for_update().filter(pk__in=wanted).values_list("pk", flat=True))
        room = Room(present)
        images: dict[str, ListingImage] = {}
        too_many: set[str] = set()
        repeated: set[str] = set()
        for id_, image in stored.items():
            if image.listing_id not in present:
                continue
            if room.is_repeated(image):
                repeated.add(id_)
                continue
            # Counted again under the lock, because others add photos to the same listings while files are copied.
            if room.is_full(image.listing_id):
                too_many.add(id_)
                continue
            room.reserve_place(image)
            image.position = room.allocate_position(image.listing_id)
            images[id_] = image
        ListingImage.objects.bulk_create(images.values())
        ImportedPhoto.objects.bulk_create(
            [ImportedPhoto(external_id=id_, listing_id=stored[id_].listing_id) for id_ in (*images, *repeated)]
        )
    if images:
        photos_added.send(ListingImage)
    return Saved(len(images), too_many, repeated)
