"""Stores N listings with a photo and a vector each, quickly: `python -m benchmarks.site.catalogue N`.

Each statement stores many rows, past the ORM, whose work for each object would take longer. Ids count from 1, in an
empty database. No feed row is written: build the index from rows afterwards. A photo's queue row is stored before the
photo, so that the trigger of a new photo finds it and writes none.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import django
import numpy as np

from benchmarks.index.rows import load_source
from ml.folders.vector_folder import Halves

YEAR_SECONDS = 365 * 86_400
ASKED_EVERY = 10  # listings with such ids stay active, so that clients can always ask about them
BRANCHES = (8, 6, 6)  # of the tree of categories on each level: 8 roots, 48 categories below them, 288 leaves
SELLERS = 500
CITIES = 40
DIMENSIONS_OF_A_PHOTO = 512, 384
WORDS = (
    *("oak", "pine", "steel", "linen", "cotton", "leather", "wool", "blue", "red", "green", "grey", "black", "white"),
    *("small", "large", "round", "folding", "vintage", "modern", "used once", "nearly new", "in its box", "scratched"),
    *("collected only", "from a smoke-free home", "with instructions", "chair", "lamp", "table", "jacket", "boots"),
    *("shelf", "mirror", "bicycle", "guitar", "camera", "kettle", "rug", "sofa", "desk", "picture frame"),
)

LISTING = (
    *("id", "seller_id", "title", "description", "price", "category_id", "location", "latitude", "longitude"),
    *("status", "created_at", "updated_at"),
)
PHOTO = (
    *("id", "listing_id", "original", "position", "sha256", "width", "height", "clean_file", "thumb_file"),
    *("state", "reason", "source", "created_at"),
)
EMBEDDING = "id", "image_id", "model_id", "state", "lane", "attempts", "reason", "vector", "created_at", "updated_at"


def make_category_path(place: Sequence[int]) -> str:
    """The path of the category that these numbers lead to, one for each level of the tree."""
    return " / ".join(f"{level} {number + 1}" for level, number in zip(("Goods", "Group", "Kind"), place, strict=False))


def is_asked_about(listing: int) -> bool:
    return listing % ASKED_EVERY == 0


def status_of_listing(listing: int) -> str:
    return "sold" if listing % 20 == 3 else "draft" if listing % 100 == 7 else "active"


def main(count: int) -> None:
    from django.db import connection

    from recommender.models import EmbeddingModel

    model = EmbeddingModel.objects.active().get()
    random = np.random.default_rng(1)
    rows = load_source(model.dim)
    print(f"rows made from {rows.name}", flush=True)
    start = time.monotonic()
    leaves, sellers = _create_categories(), _create_sellers()
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:  # nobody else is there, and a run that was cut off is started anew
            cursor.execute("PRAGMA synchronous=OFF")
            cursor.execute("PRAGMA cache_size=-512000")
    first, kinds = 1, None
    for block in rows.make_blocks(count):
        kinds = block[: len(leaves)].astype(np.float32) if kinds is None else kinds
        # What looks alike is mostly of one category, as in a real catalogue: filters and neighbourhoods go together.
        kind = (block.astype(np.float32) @ kinds.T).argmax(axis=1)
        stray = random.random(len(block)) < 0.1
        kind[stray] = random.integers(0, len(kinds), int(stray.sum()))
        _store_block(first, block, [leaves[number] for number in kind.tolist()], sellers, model.pk, random)
        first += len(block)
    _finish_postgresql(connection)
    print(f"{time.monotonic() - start:.1f}")  # without loading the source of rows, which takes long only once


def _store_block(
    first: int, block: Halves, categories: list[int], sellers: list[int], model: int, random: np.random.Generator
) -> None:
    """Store a listing, a queue row with the vector, and a photo for each row of a block, in one transaction."""
    from django.db import transaction

    ids = range(first, first + len(block))
    listings = _make_listing_rows(ids, categories, sellers, random)
    created = [row[-1] for row in listings]
    width, height = DIMENSIONS_OF_A_PHOTO
    photos = [
        (n, n, f"{n % 256:02x}/{n:032x}.jpg", 0, f"{n:064x}", width, height, f"clean/{n % 256:02x}/{n:032x}.jpg",
         f"thumb/{n % 256:02x}/{n:032x}.jpg", "ready", "", "import", at)
        for n, at in zip(ids, created, strict=True)
    ]  # fmt: skip
    embeddings = [
        (n, n, model, "done", 2, 0, "", vector.tobytes(), at, at)
        for n, vector, at in zip(ids, block, created, strict=True)
    ]
    with transaction.atomic():
        _insert_rows("listings_listing", LISTING, listings)
        _insert_rows("recommender_embedding", EMBEDDING, embeddings)
        _insert_rows("listings_listingimage", PHOTO, photos)


def _make_listing_rows(
    ids: range, categories: list[int], sellers: list[int], random: np.random.Generator
) -> list[tuple[Any, ...]]:
    count = len(ids)
    seller = [sellers[number] for number in (len(sellers) * random.random(count) ** 2).astype(int).tolist()]
    price = np.round(np.exp(random.normal(math.log(40), 1.0, count)), 2).tolist()
    city = random.integers(0, CITIES, count)
    centres = np.random.default_rng(2).uniform((50.5, -4.5), (56.0, 0.5), (CITIES, 2))
    points = (centres[city] + random.normal(0, 0.05, (count, 2))).round(6).tolist()
    word = random.integers(0, len(WORDS), (count, 40)).tolist()
    age = random.random(count) * YEAR_SECONDS
    now = datetime.now(UTC).timestamp()
    created = np.char.replace(np.datetime_as_string(((now - age) * 1e6).astype("datetime64[us]")), "T", " ").tolist()
    rows = []
    for at, n in enumerate(ids):
        words = [WORDS[number] for number in word[at]]
        placed = n % 33 != 5
        rows.append(
            (
                n,
                seller[at],
                " ".join(words[:4]),
                " ".join(words[4:]),
                None if n % 50 == 9 else price[at],
                categories[at],
                f"City {city[at]}" if placed else "",
                points[at][0] if placed else None,
                points[at][1] if placed else None,
                status_of_listing(n),
                created[at],
                created[at],
            )
        )
    return rows


def _insert_rows(table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    from django.db import connection

    names = ", ".join(columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            values = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({values})", rows)  # noqa: S608 - ours


def _create_categories() -> list[int]:
    """Create the tree of categories; returns the ids of its leaves."""
    from listings.models import Category

    above: list[tuple[tuple[int, ...], Category | None]] = [((), None)]
    for width in BRANCHES:
        places = [((*place, number), parent) for place, parent in above for number in range(width)]
        made = [
            Category(name=make_category_path(place).rpartition(" / ")[2], parent=parent, path=make_category_path(place))
            for place, parent in places
        ]
        Category.objects.bulk_create(made)
        above = [(place, row) for (place, _), row in zip(places, made, strict=True)]
    return [row.pk for _, row in above if row]


def _create_sellers() -> list[int]:
    from django.contrib.auth.models import User

    users = [User(username=f"seller{n}", first_name=f"Seller {n}", last_name="Example") for n in range(SELLERS)]
    return [user.pk for user in User.objects.bulk_create(users)]


def _finish_postgresql(connection: Any) -> None:
    """Give PostgreSQL what it would have after growing to this size: sequences that go on after the ids, statistics."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        for table in ("listings_listing", "listings_listingimage", "recommender_embedding"):
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), MAX(id)) FROM {table}")  # noqa: S608
        cursor.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
    django.setup()
    main(int(sys.argv[1]))
