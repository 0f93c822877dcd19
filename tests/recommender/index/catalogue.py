"""Listings with vectors but without pictures, stored the way the embedding worker stores them."""

from __future__ import annotations

import numpy as np
from django.contrib.auth.models import User
from django.db import transaction

from listings.models import Listing, ListingImage
from recommender import feed
from recommender.embedding import sweep
from recommender.models import Embedding, EmbeddingModel

DIM = 16


def active_model(version: str = "m1", dim: int = DIM) -> EmbeddingModel:
    return EmbeddingModel.objects.create(
        version=version, arch="fake", dim=dim, checkpoint=version, sha256="0" * 64, state="active"
    )


def unit(seed: int, dim: int = DIM) -> np.ndarray:
    """float16[dim], L2-normalised, different for each seed."""
    vector = np.random.default_rng(seed).standard_normal(dim)
    return (vector / np.linalg.norm(vector)).astype(np.float16)


def add_listing(model: EmbeddingModel, photos: int = 1, seed: int | None = None, **values) -> Listing:
    seller = values.pop("seller", None) or User.objects.get_or_create(username="seller")[0]
    listing = Listing.objects.create(seller=seller, title="a thing", **{"price": 10, **values})
    for number in range(photos):
        image = ListingImage.objects.create(listing=listing, sha256=f"{listing.pk:060d}{number:04d}")
        store_vector(image, model, unit((seed if seed is not None else listing.pk) * 100 + number, model.dim))
    return listing


def store_vector(image: ListingImage, model: EmbeddingModel, vector: np.ndarray) -> None:
    """Store one vector and its feed row in one transaction, as the embedding store does."""
    with transaction.atomic():
        Embedding.objects.update_or_create(
            image=image, model=model, defaults={"state": "done", "vector": vector.astype(np.float16).tobytes()}
        )
        feed.append_vector_changes([image.listing_id], model.pk)


def add_many(model: EmbeddingModel, count: int, photos: int = 1, start: int = 0) -> list[Listing]:
    """Many listings in a few statements."""
    seller = User.objects.get_or_create(username="seller")[0]
    with transaction.atomic():
        listings = Listing.objects.bulk_create(
            Listing(seller=seller, title=f"thing {n}", price=n % 100) for n in range(start, start + count)
        )
        images = ListingImage.objects.bulk_create(
            ListingImage(listing=listing, sha256=f"{listing.pk:060d}{number:04d}")
            for listing in listings
            for number in range(photos)
        )
        queued = {row.image_id: row for row in Embedding.objects.filter(image__in=images, model=model)}
        for image in images:
            row = queued[image.pk]
            row.state, row.vector = "done", unit(image.pk, model.dim).tobytes()
        Embedding.objects.bulk_update(queued.values(), ["state", "vector"], batch_size=500)
        feed.append_vector_changes([listing.pk for listing in listings], model.pk)
    return listings


def embed_all(model: EmbeddingModel) -> None:
    """What workers make of every photo that waits for this model, in a few statements."""
    sweep.insert_missing_rows(model)
    waiting = list(Embedding.objects.filter(model=model, vector=None).exclude(state="rejected").select_related("image"))
    for row in waiting:
        row.state, row.vector = "done", unit(row.image_id, model.dim).tobytes()
    with transaction.atomic():
        Embedding.objects.bulk_update(waiting, ["state", "vector"], batch_size=500)
        feed.append_vector_changes({row.image.listing_id for row in waiting}, model.pk)
