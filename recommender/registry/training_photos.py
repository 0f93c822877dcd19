"""The photos on sale with their categories, as `python -m ml train` reads them."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from listings.models import Category, Listing, ListingImage

# By default training sets a tenth of the sellers aside to judge by, and a tenth of fewer than these is not one seller.
MANY_SELLERS = 10
COLUMNS = ("image", "label", "group")

TrainingPhoto = tuple[str, str, str]  # in the order of COLUMNS, as it is written to the table


def list_training_photos(labels: str = "path") -> list[TrainingPhoto]:
    """Photos of active listings that have a category: file below MEDIA_ROOT, category, and whose pictures it is among.

    `labels` is "path" (each category is a class) or "root" (each department). Photos of one seller belong together,
    as people photograph all they sell before the same wall; where few people sell, those of one listing do.
    """
    rows = (
        ListingImage.objects.filter(state=ListingImage.State.READY, listing__status=Listing.Status.ACTIVE)
        .exclude(clean_file="")
        .exclude(listing__category=None)
        .order_by("id")
        .values_list("clean_file", "listing__category__path", "listing__seller_id", "listing_id")
    )
    photos = list(rows.iterator())
    by_seller = len({seller for _, _, seller, _ in photos}) >= MANY_SELLERS
    return [
        (
            file,
            Category(path=path).root_name if labels == "root" else path,
            f"seller {seller}" if by_seller else f"listing {listing}",
        )
        for file, path, seller, listing in photos
    ]


def count_trainable_classes(photos: list[TrainingPhoto]) -> int:
    """How many classes have at least two photos."""
    return sum(photos >= 2 for photos in Counter(label for _, label, _ in photos).values())


def write_table(path: Path, photos: list[TrainingPhoto]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(photos)
