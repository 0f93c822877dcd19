"""Stores a listing for each photo of a folder, then rings: `python -m benchmarks.site.stock DIR LIMIT COPIES BACKLOG`.

COPIES more listings have photos of the same bytes as the first ones. BACKLOG more come after them; they name files of
the others, but each with a checksum of its own, so that a worker takes them for new photos.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import django

T = TypeVar("T")

BATCH = 500


def split_batches(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), BATCH):
        yield things[start : start + BATCH]


def main(folder: Path, limit: int, copies: int, backlog: int = 0) -> None:
    from django.contrib.auth.models import User
    from django.core.files.base import ContentFile

    from listings.models import Listing, ListingImage, originals_storage
    from recommender.embedding.doorbell import doorbell

    paths = sorted(folder.glob("*.jpg"))[:limit]
    storage, seller = originals_storage(), User.objects.get_or_create(username="benchmark")[0]

    def add_listings(photos: list[tuple[str, str]]) -> None:
        """Add a listing for each photo, given by the name of its original and the checksum."""
        listings = Listing.objects.bulk_create(Listing(seller=seller, title=name, price=5) for name, _ in photos)
        ListingImage.objects.bulk_create(
            ListingImage(listing=listing, original=name, sha256=sha256, source=ListingImage.Source.IMPORT)
            for listing, (name, sha256) in zip(listings, photos, strict=True)
        )

    def store_photo(path: Path) -> tuple[str, str]:
        data = path.read_bytes()
        return storage.save(f"benchmark/{path.name}", ContentFile(data)), hashlib.sha256(data).hexdigest()

    names: list[str] = []
    for some in split_batches([*paths, *paths[:copies]]):
        photos = [store_photo(path) for path in some]
        names += (name for name, _ in photos)
        add_listings(photos)
    for numbers in split_batches(range(backlog)):
        add_listings([(names[number % len(paths)], f"{number:064x}") for number in numbers])
    doorbell.ring()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
    django.setup()
    main(Path(sys.argv[1]), *(int(number) for number in sys.argv[2:]))
