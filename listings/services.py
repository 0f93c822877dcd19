"""Publishing, changing and removing: actions over more than one row, or over rows and files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from .models import Category, Listing, ListingImage, original_path, originals_storage
from .photos.no_room import ORIGINALS, CannotStore
from .photos.uploads import CheckedPhoto
from .querysets import SEPARATOR

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


class ListingGone(Exception):
    """The listing was removed, or may no longer be edited by this person, since it was read."""


class TooManyPhotos(Exception):
    """The photos would exceed what a listing may have; the message is for the seller."""


@dataclass(frozen=True)
class KeptPhoto:
    """A photo of a listing after an upload: stored by it, or there before, with the same bytes."""

    image: ListingImage
    is_new: bool


def ensure_category(path: str) -> Category:
    """The category at this path, made with everything above it where it is missing."""
    # The levels are walked from the root down, because each is the parent of the next.
    category: Category | None = None
    walked: list[str] = []
    for name in path.split(SEPARATOR):
        walked.append(name)
        # Looked up by its path, which is unique, so that two imports that make the same category at once share it.
        category, _ = Category.objects.get_or_create(
            path=SEPARATOR.join(walked), defaults={"name": name, "parent": category}
        )
    if category is None:
        raise ValueError("A category path holds at least one name.")
    return category


@transaction.atomic
def create_listing(seller: User, fields: dict[str, object]) -> Listing:
    """A new listing of this seller; `category` may be the path of one that is still to be made."""
    return Listing.objects.create(seller=seller, **_ensure_category_in_fields(fields))


@transaction.atomic
def update_listing(listing: Listing, user: User | AnonymousUser, changes: dict[str, object]) -> Listing:
    """Write these fields unless the listing left this person's hands since it was read: a removed one stays removed."""
    changes = _ensure_category_in_fields(changes)
    # One conditional update in place of read, check and save: a removal meanwhile cannot be overwritten.
    changed = Listing.objects.editable_by(user).filter(pk=listing.pk).update(**changes, updated_at=timezone.now())
    if not changed:
        raise ListingGone
    # The row was changed in SQL, so the caller's instance still has the old values.
    for name, value in changes.items():
        setattr(listing, name, value)
    return listing


def _ensure_category_in_fields(fields: dict[str, object]) -> dict[str, object]:
    category = fields.get("category")
    return {**fields, "category": ensure_category(category)} if isinstance(category, str) else fields


def mark_listing_removed(listing: Listing) -> None:
    """Take a listing away from everybody but staff who may view listings. The row stays, so that it can be undone."""
    Listing.objects.filter(pk=listing.pk).exclude(status=Listing.Status.REMOVED).update(
        status=Listing.Status.REMOVED, updated_at=timezone.now()
    )


def kept_photos() -> QuerySet[ListingImage]:
    """Rejected ones are none of a listing's photos: they take no place, and their bytes may be sent again."""
    return ListingImage.objects.exclude(state=ListingImage.State.REJECTED)


def room_for_photos(listing_id: int) -> int:
    """How many photos may still be added; rejected ones take no place."""
    return max(0, settings.PHOTOS_PER_LISTING - kept_photos().filter(listing=listing_id).count())


def add_photos(listing: Listing, photos: Sequence[CheckedPhoto]) -> list[KeptPhoto]:
    """Store the files, then all rows or none; a refusal or a failed commit leaves no file behind.

    One entry for each photo, in order. Bytes that the listing has already stay one photo, however often they are sent.
    Files are written before the transaction, so the listing's lock is held for milliseconds. The transaction is the
    outermost one: nobody can roll it back after this returned.
    """
    images: dict[str, ListingImage] = {}
    try:
        for photo in photos:
            if photo.sha256 not in images:
                image = ListingImage(listing=listing, sha256=photo.sha256, width=photo.width, height=photo.height)
                images[photo.sha256] = image
                store_original_file(image, photo)
        with transaction.atomic(durable=True):
            there = _insert_photo_rows(listing, images)
    # An interruption such as Ctrl-C is caught like an error, because nobody else knows of the files stored so far.
    except BaseException:
        _delete_files(images.values())
        raise
    _delete_files(images[digest] for digest in there)
    return [KeptPhoto((images | there)[photo.sha256], photo.sha256 not in there) for photo in photos]


def store_original_file(image: ListingImage, photo: CheckedPhoto) -> None:
    """Store a photo's file whole or not at all. Raises CannotStore."""
    # The name is set before the file is written, so that what a write leaves that fails half-way can be deleted.
    image.original = original_path(image, f"photo{photo.suffix}")
    try:
        originals_storage().save(image.original.name, photo.file)
    except OSError as exc:
        _delete_files([image])
        raise CannotStore(ORIGINALS, exc) from exc


def _insert_photo_rows(listing: Listing, images: Mapping[str, ListingImage]) -> dict[str, ListingImage]:
    """Number and insert; the locked listing row makes concurrent uploads take turns. Returns those there before."""
    present = Listing.objects.select_for_update().exclude(status=Listing.Status.REMOVED).filter(pk=listing.pk)
    if not present.exists():
        raise ListingGone
    there = find_photos_by_hash(listing.pk, images)
    new = [image for digest, image in images.items() if digest not in there]
    # Counted under the lock: what a form counted before may have been used up by another upload.
    room = room_for_photos(listing.pk)
    if len(new) > room:
        raise TooManyPhotos(explain_too_many_photos(room))
    last = ListingImage.objects.filter(listing=listing).aggregate(last=Max("position"))["last"]
    for position, image in enumerate(new, 0 if last is None else last + 1):
        image.position = position
        image.save(force_insert=True)
    return there


def find_photos_by_hash(listing_id: int, hashes: Iterable[str]) -> dict[str, ListingImage]:
    """The listing's photos with these bytes."""
    rows = kept_photos().filter(listing=listing_id, sha256__in=list(hashes))
    # In reverse, so that of equal photos, which older versions stored, the first one stands for them.
    return {image.sha256: image for image in rows.order_by("-position", "-id")}


def leave_out_known_photos(listing_id: int, photos: Iterable[CheckedPhoto]) -> list[CheckedPhoto]:
    """Each of these photos once, without those that the listing has: what will take room there."""
    new = {photo.sha256: photo for photo in photos}
    there = find_photos_by_hash(listing_id, new)
    return [photo for digest, photo in new.items() if digest not in there]


def explain_too_many_photos(room: int) -> str:
    most = settings.PHOTOS_PER_LISTING
    left = f"it has room for {room} more" if room else "it is full; delete one first"
    return f"A listing has at most {most} photos: {left}."


def _delete_files(images: Iterable[ListingImage]) -> None:
    for image in images:
        if image.original.name:
            # The caller must hear what stopped the upload, not of a failure here; a file that stays is swept up later.
            with suppress(OSError):
                image.original.storage.delete(image.original.name)
