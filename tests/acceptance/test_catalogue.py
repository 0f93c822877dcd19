"""The real catalogue from import to answers, with two web processes and two embedding workers side by side.

A part of it, enough to see every step, in `make test`; all 4,558 listings in `make soak`. What the import makes of the
whole files is tested exactly in `tests/listings/importing/test_clothing.py` either way.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from tests.acceptance import catalogue
from tests.acceptance.catalogue import SHARED, embedded, unsettled
from tests.acceptance.conftest import copy
from tests.servers.stack import UNTHROTTLED, Stack
from tests.servers.visitor import Visitor

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared clothing catalogue is not on this machine")

FULL = bool(os.environ.get("SOAK"))
PART = 400  # products
COPIES = 500 if FULL else 100


@dataclass(frozen=True)
class Catalogue:
    """Two files, and what importing them must make."""

    products: Path
    images: Path
    listings: int
    photos: int

    @property
    def arguments(self) -> tuple[str, ...]:
        return str(self.products), str(self.images), "--images", str(SHARED / "images")


@pytest.fixture(scope="module")
def files(short_tmp: Path) -> Catalogue:
    if FULL:
        return Catalogue(SHARED / "Products.csv", SHARED / "Images.csv", 4558, 5398)
    folder = short_tmp / "part"
    folder.mkdir()
    products, images = catalogue.write_head(SHARED, folder, PART)
    names = [row["id"] for row in catalogue.read_rows(images)]
    there = [name for name in names if (SHARED / "images" / f"{name}.jpg").exists()]
    return Catalogue(products, images, len({row["id"] for row in catalogue.read_rows(products)}), len(set(there)))


@pytest.fixture(scope="module")
def site(short_tmp: Path, prepared_var: Path, files: Catalogue) -> Iterator[Stack]:
    environ = {"LOG_LEVEL": "INFO", **UNTHROTTLED}
    with Stack(copy(prepared_var, short_tmp), web=2, embedding=2, environ=environ) as stack:
        stack.run("manage.py", "import_catalogue", *files.arguments, timeout=300)
        yield stack


def rows(stack: Stack, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{stack.var / 'db.sqlite3'}?mode=ro", uri=True, timeout=20)) as connection:
        return connection.execute(sql).fetchall()


def test_the_catalogue_imports_once(site, files):
    assert rows(site, "SELECT COUNT(*) FROM listings_listing") == [(files.listings,)]
    assert rows(site, "SELECT COUNT(*) FROM listings_listingimage") == [(files.photos,)]
    before = rows(site, "SELECT COUNT(*), MAX(updated_at) FROM listings_listing")
    site.run("manage.py", "import_catalogue", *files.arguments, timeout=300)
    assert rows(site, "SELECT COUNT(*), MAX(updated_at) FROM listings_listing") == before
    assert rows(site, "SELECT COUNT(*) FROM listings_listingimage") == [(files.photos,)]


def test_every_photo_is_embedded_by_the_workers_once_and_verify_is_clean(site, files):
    site.wait_for(lambda: embedded(site) == files.photos, "every photo is embedded", timeout=300, every=0.5)
    assert unsettled(site) == 0
    assert catalogue.inferred(site) == files.photos
    site.manage("index", "compact")
    assert site.manage("index", "verify").strip().endswith("0 differences")


def test_similar_answers_for_every_listing(site):
    admin = site.admin()
    ids = [pk for (pk,) in rows(site, "SELECT id FROM listings_listing")]

    def ask(pk: int) -> int:
        answer = Visitor(site.url, admin.token).get(f"/api/v1/listings/{pk}/similar/?limit=3")
        found = answer.json().get("results", [])
        return pk if answer.status != 200 or len(found) != 3 or pk in {one["listing"]["id"] for one in found} else 0

    with ThreadPoolExecutor(4) as askers:
        wrong = [pk for pk in askers.map(ask, ids) if pk]
    assert wrong == []


def test_a_recompressed_copy_finds_its_original_first(site):
    sql = """SELECT image.sha256, image.listing_id FROM listings_listingimage image
             JOIN listings_listing product ON product.id = image.listing_id WHERE product.status = 'active'"""
    listing_of = dict(rows(site, sql))
    photos = sorted((SHARED / "images").glob("*.jpg"))
    random.Random(0).shuffle(photos)
    known = (path for path in photos if hashlib.sha256(path.read_bytes()).hexdigest() in listing_of)
    chosen = list(islice(known, COPIES))
    admin = site.admin()

    def finds(path: Path) -> bool:
        copy = io.BytesIO()
        Image.open(path).convert("RGB").save(copy, "JPEG", quality=60)
        posted = [("image", "copy.jpg", copy.getvalue())]
        answer = Visitor(site.url, admin.token).post("/api/v1/search/image/?limit=1", files=posted).expect(200)
        original = listing_of[hashlib.sha256(path.read_bytes()).hexdigest()]
        return answer.json()["results"][0]["listing"]["id"] == original

    with ThreadPoolExecutor(2) as askers:
        found = sum(askers.map(finds, chosen))
    print(f"{found} of {COPIES} copies find their original first")
    assert found >= 0.95 * COPIES, f"{found} of {COPIES}"
