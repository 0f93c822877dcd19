"""One batch of photo rows: find each file and its listing, judge the file by its header, save what is new."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.core.files.base import File

from listings.models import Listing, ListingImage
from listings.photos.no_room import CannotStore
from listings.photos.uploads import check_photo
from ml.catalogue.findings import Finding, Kind
from ml.catalogue.picture_files import PictureFiles, name_expected_file
from ml.images import PhotoRefused

from .photos import Room, find_imported_ids, save_photo_rows_and_notify, store_original
from .rows import PhotoRow


def find_photo_row_faults(row: PhotoRow, has_listing: bool, has_file: bool, is_full: bool) -> list[Finding]:
    """Why the row makes no photo: one finding a reason, none when it may."""
    findings = []
    if not has_listing:
        reason = "no listing has this id"
        findings.append(Finding(Kind.ROW_WITHOUT_LISTING, row.line, "product_id", row.product_id, reason))
    if not has_file:
        reason = f"no file {name_expected_file(row.id)} among the images"
        findings.append(Finding(Kind.ROW_WITHOUT_FILE, row.line, "id", row.id, reason))
    if has_listing and has_file and is_full:
        findings.append(make_full_finding(row))
    return findings


def make_full_finding(row: PhotoRow) -> Finding:
    reason = f"the listing has {settings.PHOTOS_PER_LISTING} photos already"
    return Finding(Kind.TOO_MANY, row.line, "product_id", row.product_id, reason)


class PictureFolder:
    """Saves batches of photo rows whose files lie in one folder."""

    def __init__(self, files: PictureFiles) -> None:
        self._files = files

    def import_photos(self, rows: Sequence[PhotoRow]) -> tuple[int, int, list[Finding]]:
        """How many photos were made, how many were there already, and what was wrong with the other rows."""
        findings: list[Finding] = []
        stored: dict[str, ListingImage] = {}
        # The database is asked for the batch as a whole: four queries for hundreds of rows, not three for each.
        products = {row.product_id for row in rows}
        listing_ids = dict(Listing.objects.filter(external_id__in=products).values_list("external_id", "pk"))
        done = find_imported_ids([row.id for row in rows])
        room = Room(listing_ids.values())
        for row in rows:
            if row.id in done:
                continue
            listing_id, path = listing_ids.get(row.product_id), self._files.find(row.id)
            is_full = listing_id is not None and room.is_full(listing_id)
            wrong = find_photo_row_faults(row, listing_id is not None, path is not None, is_full)
            findings += wrong
            if wrong or listing_id is None or path is None:
                continue
            try:
                image = stored[row.id] = check_and_store_picture(path, listing_id, row.created_at)
                if not room.is_repeated(image):
                    room.reserve_place(image)
            except CannotStore:
                # What was stored before the disk was full is kept, so that no file is left without its row.
                save_photo_rows_and_notify(stored)
                raise
            except PhotoRefused as exc:
                findings.append(Finding(Kind.BAD_PHOTO, row.line, "id", row.id, f"{path.name}: {exc}"))
        saved = save_photo_rows_and_notify(stored)
        findings += [make_full_finding(row) for row in rows if row.id in saved.too_many]
        findings += [
            Finding(Kind.REPEATED, row.line, "id", row.id, "the listing has this very photo already; row left out")
            for row in rows
            if row.id in saved.repeated
        ]
        return saved.made, len(done), findings


def check_and_store_picture(path: Path, listing_id: int, created_at: datetime) -> ListingImage:
    """The photo in this file, stored but without its row; raises `PhotoRefused` when it is none."""
    try:
        file = path.open("rb")
    except OSError as exc:
        raise PhotoRefused(f"The file cannot be read: {exc.strerror}.", "not_an_image") from exc
    with file:
        return store_original(listing_id, created_at, check_photo(File(file, name=path.name)))
