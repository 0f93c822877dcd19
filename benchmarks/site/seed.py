"""Stores listings with photos and vectors as the worker would, but no pictures: `python -m benchmarks.site.seed N`.

The vectors are unit vectors around 200 centres, so that neighbourhoods are as uneven as a catalogue's.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import django
import numpy as np

from ml.folders.vector_folder import Halves

if TYPE_CHECKING:
    from recommender.models import EmbeddingModel

BATCH = 1000


def main(count: int) -> None:
    from recommender.index import compact
    from recommender.models import EmbeddingModel

    model = EmbeddingModel.objects.active().get()
    random = np.random.default_rng(0)
    centres = random.standard_normal((200, model.dim))
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        vectors = centres[random.integers(0, 200, size)] + 0.5 * random.standard_normal((size, model.dim))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        store_listings(model, vectors.astype(np.float16), [f"Thing {start + n}" for n in range(size)], random)
    while "busy" in compact(force=True).actions:
        time.sleep(1)


def store_listings(model: EmbeddingModel, vectors: Halves, titles: Sequence[str], random: np.random.Generator) -> None:
    """Store a listing with a photo for each of the vectors float16[n, dim], in one transaction."""
    from django.contrib.auth.models import User
    from django.db import transaction

    from listings.models import Listing, ListingImage
    from recommender import feed
    from recommender.models import Embedding

    seller = User.objects.get_or_create(username="benchmark")[0]
    with transaction.atomic():
        listings = Listing.objects.bulk_create(
            Listing(seller=seller, title=title, price=int(random.integers(1, 500))) for title in titles
        )
        images = ListingImage.objects.bulk_create(
            ListingImage(listing=listing, sha256=f"{listing.pk:064d}", state="ready") for listing in listings
        )
        rows = {row.image_id: row for row in Embedding.objects.filter(image__in=images, model=model)}
        for image, vector in zip(images, vectors, strict=True):
            rows[image.pk].state, rows[image.pk].vector = "done", vector.tobytes()
        Embedding.objects.bulk_update(rows.values(), ["state", "vector"], batch_size=250)
        feed.append_vector_changes([listing.pk for listing in listings], model.pk)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
    django.setup()
    main(int(sys.argv[1]))
