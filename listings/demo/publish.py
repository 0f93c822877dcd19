"""The demo catalogue as rows and originals, by the path of the catalogue import. What is there already stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice

from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone

from listings.importing.photos import find_imported_ids, save_photo_rows_and_notify, store_original
from listings.importing.products import ensure_categories, ensure_users
from listings.models import Listing
from listings.photos.uploads import check_photo

from .photos import encode_planned_photo
from .plan import DemoListing, plan_catalogue

# Small, so that workers embed the first photos while the next ones are drawn.
BATCH = 16


def publish_catalogue(
    count: int, now: datetime | None = None, progress: Callable[[int], object] = lambda _: None
) -> tuple[int, int]:
    """Make what is missing of the first `count` demo listings; how many listings and photos were made."""
    midnight = (now or timezone.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    planned = plan_catalogue(count, midnight)
    listings = photos = 0
    while batch := list(islice(planned, BATCH)):
        made = _save_missing_listings(batch)
        photos += _draw_and_save_missing_photos(batch)
        listings += made
        progress(len(batch))
    return listings, photos


def _save_missing_listings(batch: Sequence[DemoListing]) -> int:
    with transaction.atomic():
        there = set(_find_listing_ids(batch))
        new = [item for item in batch if item.id not in there]
        people = ensure_users({item.seller for item in new})
        categories = ensure_categories({item.category for item in new})
        Listing.objects.bulk_create(
            Listing(
                seller=people[item.seller],
                external_id=item.id,
                title=item.title,
                description=item.description,
                price=item.price,
                category=categories[item.category],
                location=item.location,
                latitude=item.point[0],
                longitude=item.point[1],
                created_at=item.created_at,
            )
            for item in new
        )
    return len(new)


def _find_listing_ids(batch: Iterable[DemoListing]) -> dict[str | None, int]:
    ids = [item.id for item in batch]
    return dict(Listing.objects.filter(external_id__in=ids).values_list("external_id", "pk"))


def _draw_and_save_missing_photos(batch: Sequence[DemoListing]) -> int:
    listing_ids = _find_listing_ids(batch)
    done = find_imported_ids([photo.id for item in batch for photo in item.photos])
    stored = {
        photo.id: store_original(
            listing_ids[item.id], item.created_at, check_photo(ContentFile(encode_planned_photo(photo), "photo.jpg"))
        )
        for item in batch
        for photo in item.photos
        if photo.id not in done
    }
    return save_photo_rows_and_notify(stored).made
