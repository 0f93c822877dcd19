"""Photos of the site that a model's cosines are calibrated on, with what is known of them, and drawings beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from django.core.files.storage import default_storage
from django.db.models import F, Value
from django.db.models.functions import Mod

from listings.demo.photos import draw_planned_photo
from listings.demo.plan import plan_catalogue
from listings.models import Listing, ListingImage
from ml import images
from ml.images import PhotoRefused
from ml.inference.calibration.pictures import embed_pictures, embed_pixels
from recommender.embedding.photo_files import FileLost, StorageTrouble, read_file
from recommender.models import Embedding, EmbeddingModel

if TYPE_CHECKING:
    from ml.inference.arrays import Vectors
    from ml.inference.embedder import Embedder

MOST_PHOTOS = 1_000
MOST_LOOKED_AT = 50_000
MOST_OF_A_CATEGORY = 80


@dataclass(frozen=True, slots=True)
class SamplePhoto:
    """A photo of a listing on sale; `category` is empty where nobody gave one."""

    image: int
    file: str
    listing: int
    seller: int
    category: str


def list_sample_photos() -> list[SamplePhoto]:
    """At most 1,000 photos of active listings, drawn from all, 80 of any one category; the same for the same site."""
    ready = ListingImage.objects.filter(state=ListingImage.State.READY, listing__status=Listing.Status.ACTIVE).exclude(
        clean_file=""
    )
    # Of a large site every so-many-th listing is looked at, because all of them would not fit into memory.
    step = max(1, ready.count() // MOST_LOOKED_AT)
    rows = (
        ready.annotate(place=Mod(F("listing_id"), Value(step))).filter(place=0).order_by("listing_id", "position", "id")
    )
    by_listing: dict[int, list[SamplePhoto]] = {}
    for image, file, listing, seller, category in rows.values_list(
        "id", "clean_file", "listing_id", "listing__seller_id", "listing__category__path"
    ).iterator():
        by_listing.setdefault(listing, []).append(SamplePhoto(image, file, listing, seller, category or ""))
    listings = list(by_listing)
    Random(1).shuffle(listings)  # noqa: S311 - a sample, no secret
    taken: Counter[str] = Counter()
    chosen: list[SamplePhoto] = []
    for photo in (photo for listing in listings for photo in by_listing[listing]):
        if not photo.category or taken[photo.category] < MOST_OF_A_CATEGORY:
            taken[photo.category] += 1
            chosen.append(photo)
        if len(chosen) == MOST_PHOTOS:
            break
    return chosen


def collect_vectors(
    photos: Sequence[SamplePhoto], model: EmbeddingModel, embedder: Embedder
) -> tuple[list[SamplePhoto], Vectors]:
    """Those photos that can be read, and their vectors float32[N, dim]: stored ones, else embedded here."""
    rows = Embedding.objects.filter(model=model, image__in=[photo.image for photo in photos], vector__isnull=False)
    stored = dict(rows.values_list("image_id", "vector"))
    known = [photo for photo in photos if photo.image in stored]
    vectors = [np.frombuffer(stored[photo.image] or b"", np.float16).astype(np.float32) for photo in known]
    others, pixels = [], []
    for photo in photos:
        if photo.image not in stored:
            with suppress(FileLost, StorageTrouble, PhotoRefused):
                pixels.append(embedder.prepare(images.decode(read_file(default_storage, photo.file))))
                others.append(photo)
    return known + others, np.concatenate([np.array(vectors).reshape(-1, model.dim), embed_pixels(pixels, embedder)])


def embed_drawings(count: int, embedder: Embedder) -> tuple[list[str], Vectors]:
    """The categories of so many of the demo's listings, and vectors float32[count, dim] of a drawing of each."""
    planned = list(plan_catalogue(count, datetime(2026, 1, 1, tzinfo=UTC)))
    pictures = (draw_planned_photo(listing.photos[0]) for listing in planned)
    return [listing.category for listing in planned], embed_pictures(pictures, embedder, "drawings")
