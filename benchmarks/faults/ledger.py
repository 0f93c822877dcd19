"""Compares promises with rows and files: `python -m benchmarks.faults.ledger` beside a site, saves as JSON on stdin.

Prints JSON: what is lost of an acknowledged save, what is there twice, and what `index verify` finds.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING:
    from listings.models import Listing, ListingImage

MENDING_SECONDS = 60.0  # four times as long as beat lets pass between two looks at the index


def main() -> None:
    saves = json.load(sys.stdin)
    print(json.dumps({**compare_saves(saves), "differences": wait_for_clean_index()}))


def compare_saves(saves: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    from listings.models import Listing

    rows: dict[str, list[Listing]] = defaultdict(list)
    titles = [save["title"] for save in saves]
    for listing in Listing.objects.filter(title__in=titles).prefetch_related("images__embeddings"):
        rows[listing.title].append(listing)
    lost, doubled = [], []
    for save in saves:
        there = rows[save["title"]]
        lost += [f"{save['title']}: {why}" for why in list_losses(save, there)]
        doubled += [f"{save['title']}: {why}" for why in list_doubles(there)]
    return {"lost": lost, "doubled": doubled}


def list_losses(save: Mapping[str, Any], listings: Sequence[Listing]) -> Iterator[str]:
    """What is missing of a save that was acknowledged."""
    if not save["acknowledged"]:
        return
    listing = next((listing for listing in listings if listing.pk == save["listing"]), None)
    if save["removed"]:
        if listing and listing.status != "removed":
            yield f"listing {listing.pk} was removed and is {listing.status}"
        return
    if listing is None:
        yield f"listing {save['listing']} has no row"
        return
    photo = next((photo for photo in listing.images.all() if photo.sha256 == save["sha256"]), None)
    if photo is None:
        yield f"listing {listing.pk} has no photo"
    else:
        yield from list_missing_parts(photo)
    if not save["found"]:
        yield f"listing {listing.pk} is not found by similar"


def list_missing_parts(photo: ListingImage) -> Iterator[str]:
    if photo.state != "ready":
        yield f"{photo} is {photo.state} {photo.reason}"
    for part in (photo.original, photo.clean_file, photo.thumb_file):
        if not part.name or not part.storage.exists(part.name):
            yield f"{photo} has no file {part.field.name} {part.name}"
    for row in photo.embeddings.all():
        if row.state != "done" or not row.vector:
            yield f"{photo}: embedding {row.pk} is {row.state}, attempt {row.attempts} {row.reason}"
    if not photo.embeddings.all():
        yield f"{photo} has no embedding"


def list_doubles(listings: Sequence[Listing]) -> Iterator[str]:
    if len(listings) > 1:
        yield f"{len(listings)} listings: {[listing.pk for listing in listings]}"
    for listing in listings:
        times = Counter(photo.sha256 for photo in listing.images.all())
        if (most := max(times.values(), default=0)) > 1:
            yield f"listing {listing.pk} has its photo {most} times"


def wait_for_clean_index() -> list[str]:
    """What `index verify` finds once the indexing worker had time to mend what was taken away."""
    deadline = time.monotonic() + MENDING_SECONDS
    while (differences := verify_index()) and time.monotonic() < deadline:
        time.sleep(1)
    return differences


def verify_index() -> list[str]:
    from django.core.management import CommandError, call_command

    out = io.StringIO()
    try:
        call_command("index", "verify", stdout=out)
    except CommandError as exc:
        return [*out.getvalue().splitlines(), str(exc)]
    return []


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
    django.setup()
    main()
