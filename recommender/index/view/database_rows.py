"""Reads what is searchable from the database, a bounded number of listings at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat

from listings.finding.filterable import COLUMNS, STATUSES, ListingStatus
from listings.models import Listing
from recommender.index.rows.arrays import HalfVectors
from recommender.index.rows.columns import Columns
from recommender.models import Embedding

LISTINGS_PER_QUERY = 500
SEARCHABLE = tuple(status for status in STATUSES if status != ListingStatus.REMOVED)


def column_paths() -> dict[str, str]:
    """Where a query of embeddings finds the keys and every declared source, by their names."""
    sources = {source for column in COLUMNS.values() for source in column.sources}
    return {
        "listing": "image__listing_id",
        "image": "image_id",
        **{source: f"image__listing__{source}" for source in sorted(sources)},
    }


def find_searchable_embeddings(model_id: int) -> QuerySet[Embedding]:
    """Embeddings that belong in the index: a vector is there and the listing is not removed."""
    rows = Embedding.objects.filter(model_id=model_id, vector__isnull=False)
    # The status is hidden in an expression that no index fits. By its index SQLite would read every listing on sale,
    # although a few are asked for.
    return rows.alias(status=Concat("image__listing__status", Value(""))).filter(status__in=SEARCHABLE)


def read_columns(model_id: int, listing_ids: Collection[int]) -> Columns:
    """The columns of every searchable photo of these listings, in one query, sorted by (listing, image)."""
    paths = column_paths()
    rows = (
        find_searchable_embeddings(model_id)
        .filter(image__listing_id__in=list(listing_ids))
        .values_list(*paths.values())
    )
    return Columns.from_database(_transpose_rows([*paths], rows)).sorted_rows()


def _transpose_rows(names: Sequence[str], rows: Iterable[tuple[object, ...]]) -> dict[str, Sequence[Any]]:
    """What the rows hold of each name."""
    transposed = list(zip(*rows, strict=True)) or [()] * len(names)
    return dict(zip(names, transposed, strict=True))


def read_vectors(model_id: int, image_ids: Collection[int], dim: int) -> dict[int, HalfVectors]:
    """float16[dim] by image id, in one query."""
    rows = Embedding.objects.filter(model_id=model_id, image_id__in=list(image_ids), vector__isnull=False)
    return {
        image: np.frombuffer(vector, np.float16)
        for image, vector in rows.values_list("image_id", "vector")
        if vector is not None and len(vector) == dim * 2
    }


def read_all_pages(model_id: int, dim: int) -> Iterator[tuple[Columns, HalfVectors]]:
    """Pages of (columns, float16[n, dim]) over everything searchable, by listing id, in autocommit."""
    paths, last = column_paths(), 0
    while True:
        page = list(
            Listing.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:LISTINGS_PER_QUERY]
        )
        if not page:
            return
        last = page[-1]
        rows = (
            find_searchable_embeddings(model_id)
            .filter(image__listing_id__in=page)
            .values_list(*paths.values(), "vector")
        )
        read = [row for row in rows if len(row[-1]) == dim * 2]
        if not read:
            continue
        values = _transpose_rows([*paths, "vector"], read)
        columns = Columns.from_database(values)
        order = columns.sort_order()
        vectors = np.stack([np.frombuffer(vector, np.float16) for vector in values["vector"]])
        yield columns.select_rows(order), vectors[order]


def split_ids_into_pages(listing_ids: Collection[int], size: int = LISTINGS_PER_QUERY) -> Iterator[list[int]]:
    ordered = sorted(listing_ids)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
