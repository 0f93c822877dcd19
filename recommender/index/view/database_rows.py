"""Reads what is searchable from the database, a bounded number of listings at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat

from listings.models import Listing
from recommender.index.rows.columns import STATUSES, Columns
from recommender.models import Embedding

LISTINGS_PER_QUERY = 500
SEARCHABLE = tuple(status for status in STATUSES if status != "removed")

FIELDS = (
    "image__listing_id",
    "image_id",
    "image__listing__category_id",
    "image__listing__price",
    "image__listing__latitude",
    "image__listing__longitude",
    "image__listing__created_at",
    "image__listing__seller_id",
    "image__listing__status",
)


def searchable(model_id: int) -> QuerySet[Embedding]:
    """Embeddings that belong in the index: a vector is there and the listing is not removed."""
    rows = Embedding.objects.filter(model_id=model_id, vector__isnull=False)
    # In an expression, no index fits the status: SQLite would read every listing on sale for the sake of a few.
    return rows.alias(status=Concat("image__listing__status", Value(""))).filter(status__in=SEARCHABLE)


def read_columns(model_id: int, listing_ids: Collection[int]) -> Columns:
    """The columns of every searchable photo of these listings, in one query, sorted by (listing, image)."""
    rows = searchable(model_id).filter(image__listing_id__in=list(listing_ids)).values_list(*FIELDS)
    return Columns.from_rows(rows).sorted_rows()


def read_vectors(model_id: int, image_ids: Collection[int], dim: int) -> dict[int, np.ndarray]:
    """float16[dim] by image id, in one query."""
    rows = Embedding.objects.filter(model_id=model_id, image_id__in=list(image_ids), vector__isnull=False)
    return {
        image: np.frombuffer(vector, np.float16)
        for image, vector in rows.values_list("image_id", "vector")
        if vector is not None and len(vector) == dim * 2
    }


def read_all(model_id: int, dim: int) -> Iterator[tuple[Columns, np.ndarray]]:
    """Pages of (columns, float16[n, dim]) over everything searchable, by listing id, in autocommit."""
    last = 0
    while True:
        page = list(
            Listing.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:LISTINGS_PER_QUERY]
        )
        if not page:
            return
        last = page[-1]
        rows = searchable(model_id).filter(image__listing_id__in=page).values_list(*FIELDS, "vector")
        read = [row for row in rows if len(row[-1]) == dim * 2]
        if not read:
            continue
        columns = Columns.from_rows(row[:-1] for row in read)
        order = columns.sort_order()
        vectors = np.stack([np.frombuffer(row[-1], np.float16) for row in read])
        yield columns.select_rows(order), vectors[order]


def pages(listing_ids: Collection[int], size: int = LISTINGS_PER_QUERY) -> Iterator[list[int]]:
    ordered = sorted(listing_ids)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
