"""A catalogue of drawn photos in the shape that `import_catalogue` reads, and questions put to a running site."""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from listings.demo.photos import encode_planned_photo
from listings.demo.plan import plan_catalogue
from tests.servers.stack import Stack

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "clothing"

PRODUCT = ("id", "product_name", "category", "product_description", "price", "location", "create_time", "seller")
PHOTO = ("id", "product_id")


def draw(folder: Path, listings: int) -> int:
    """Write Products.csv, Images.csv and images/ below `folder`; how many photos there are."""
    images = folder / "images"
    images.mkdir(parents=True)
    products: list[tuple[str, ...]] = []
    photos: list[tuple[str, str]] = []
    for number, listing in enumerate(plan_catalogue(listings, datetime(2026, 1, 1, tzinfo=UTC))):
        cells = (listing.title, listing.category, listing.description, f"£{listing.price}", listing.location)
        products.append((f"drawn-{number}", *cells, "2026-01-01", listing.seller))
        for photo in listing.photos:
            name = f"drawn-{len(photos)}"
            (images / f"{name}.jpg").write_bytes(encode_planned_photo(photo))
            photos.append((name, f"drawn-{number}"))
    write(folder / "Products.csv", PRODUCT, products)
    write(folder / "Images.csv", PHOTO, photos)
    return len(photos)


def write_head(source: Path, target: Path, products: int) -> tuple[Path, Path]:
    """Write the first products of a catalogue, and their photos' rows, below `target`: the two files."""
    kept = list(islice(read_rows(source / "Products.csv"), products))
    ids = {row["id"] for row in kept}
    images = [row for row in read_rows(source / "Images.csv") if row["product_id"] in ids]
    for name, rows in (("Products.csv", kept), ("Images.csv", images)):
        with (target / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
    return target / "Products.csv", target / "Images.csv"


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def arguments(folder: Path) -> tuple[str, ...]:
    files = (str(folder / "Products.csv"), str(folder / "Images.csv"))
    return ("manage.py", "import_catalogue", *files, "--images", str(folder / "images"))


def scalar(stack: Stack, sql: str) -> int:
    """One number from the site's SQLite database, read beside its processes."""
    with closing(sqlite3.connect(f"file:{stack.var / 'db.sqlite3'}?mode=ro", uri=True, timeout=20)) as connection:
        return connection.execute(sql).fetchone()[0]


def embedded(stack: Stack) -> int:
    return scalar(stack, "SELECT COUNT(*) FROM recommender_embedding WHERE state = 'done'")


def unsettled(stack: Stack) -> int:
    return scalar(stack, "SELECT COUNT(*) FROM recommender_embedding WHERE state NOT IN ('done', 'rejected')")


def inferred(stack: Stack) -> int:
    """How many photos the workers gave to the model, by their logs."""
    return sum(int(count) for count in re.findall(r"giving (\d+) photos to the model", stack.log()))
