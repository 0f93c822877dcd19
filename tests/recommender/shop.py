"""Listings whose photos are embedded, with vectors of known likeness or from the real model."""

from __future__ import annotations

import math

import numpy as np

from listings.models import Listing
from recommender.models import EmbeddingModel
from tests.factories import make_listing, make_ready_image
from tests.recommender.index.catalogue import store_vector


def vector(cosine: float, dim: int = 16) -> np.ndarray:
    """float32[dim] of length 1 with this cosine to `vector(1)`."""
    values = np.zeros(dim, np.float32)
    values[0], values[1] = cosine, math.sqrt(1 - cosine * cosine)
    return values


def sell(model: EmbeddingModel, *cosines: float, **fields) -> Listing:
    """A listing with one embedded photo for each cosine to `vector(1)`."""
    listing = make_listing(**fields)
    for cosine in cosines:
        store_vector(make_ready_image(listing), model, vector(cosine, model.dim))
    return listing


def embed(listing: Listing, model: EmbeddingModel) -> None:
    """Give every photo of a listing the vector the real model gives it."""
    from ml.images import make_derivatives
    from recommender.embedding.embedder_cache import embedders

    embedder = embedders.load_embedder(model)
    for image in listing.images.all():
        with image.original.open() as file:
            pixels = embedder.prepare(make_derivatives(file.read())[0])
        store_vector(image, model, embedder.embed(pixels[np.newaxis])[0])
