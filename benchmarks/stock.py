"""Stores a listing for each photo of a folder, then rings: `python -m benchmarks.stock DIR LIMIT COPIES`.

The last COPIES listings have photos of the first ones' bytes.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import django

BATCH = 500


def main(folder: Path, limit: int, copies: int) -> None:
    from django.contrib.auth.models import User
    from django.core.files.base import ContentFile

    from listings.models import Listing, ListingImage, originals_storage
    from recommender import doorbell

    paths = sorted(folder.glob("*.jpg"))[:limit]
    storage, seller = originals_storage(), User.objects.get_or_create(username="benchmark")[0]
    everything = [*paths, *paths[:copies]]
    for start in range(0, len(everything), BATCH):
        files = [path.read_bytes() for path in everything[start : start + BATCH]]
        listings = Listing.objects.bulk_create(
            Listing(seller=seller, title=f"Thing {start + n}", price=5) for n in range(len(files))
        )
        ListingImage.objects.bulk_create(
            ListingImage(
                listing=listing,
                original=storage.save(f"benchmark/{start + n}.jpg", ContentFile(data)),
                sha256=hashlib.sha256(data).hexdigest(),
                source=ListingImage.Source.IMPORT,
            )
            for n, (listing, data) in enumerate(zip(listings, files, strict=True))
        )
    doorbell.ring()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
    django.setup()
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
