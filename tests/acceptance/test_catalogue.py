"""The real catalogue from import to answers, with two web processes and two embedding workers side by side."""

from __future__ import annotations

import csv
import hashlib
import io
import random
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from tests.acceptance import catalogue
from tests.acceptance.catalogue import SHARED, embedded, unsettled
from tests.stack import Stack
from tests.visitor import Visitor

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared clothing catalogue is not on this machine")

LISTINGS = 4558
PHOTOS = 5398
COPIES = 500


@pytest.fixture(scope="module")
def site(short_tmp: Path, prepared_var: Path) -> Iterator[Stack]:
    from tests.acceptance.conftest import copy

    environ = {"LOG_LEVEL": "INFO", **catalogue.UNTHROTTLED}
    with Stack(copy(prepared_var, short_tmp), web=2, embedding=2, environ=environ) as stack:
        files = (str(SHARED / "Products.csv"), str(SHARED / "Images.csv"))
        stack.run("manage.py", "import_catalogue", *files, "--images", str(SHARED / "images"), timeout=300)
        yield stack


def rows(stack: Stack, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{stack.var / 'db.sqlite3'}?mode=ro", uri=True, timeout=20)) as connection:
        return connection.execute(sql).fetchall()


def test_the_catalogue_imports_exactly_and_reports_every_bad_row(site):
    assert rows(site, "SELECT COUNT(*) FROM listings_listing") == [(LISTINGS,)]
    assert rows(site, "SELECT COUNT(*) FROM listings_listingimage") == [(PHOTOS,)]
    with (site.var / "import-report.csv").open(newline="") as file:
        findings = list(csv.DictReader(file))
    cells = [finding for finding in findings if finding["column"] in {"price", "product_name", "category", "latitude"}]
    assert len(cells) == 7, findings
    assert all(finding["line"].isdigit() and finding["reason"] for finding in findings)
    repeated = [finding for finding in findings if finding["value"] == "7f8d48b0-4070-5136-88a6-3e4c85574318"]
    assert len(repeated) == 1, findings


def test_importing_again_changes_nothing(site):
    before = rows(site, "SELECT COUNT(*), MAX(updated_at) FROM listings_listing")
    files = (str(SHARED / "Products.csv"), str(SHARED / "Images.csv"))
    site.run("manage.py", "import_catalogue", *files, "--images", str(SHARED / "images"), timeout=300)
    assert rows(site, "SELECT COUNT(*), MAX(updated_at) FROM listings_listing") == before
    assert rows(site, "SELECT COUNT(*) FROM listings_listingimage") == [(PHOTOS,)]


def test_every_photo_is_embedded_by_the_workers_once_and_verify_is_clean(site):
    site.wait_for(lambda: embedded(site) == PHOTOS, "every photo is embedded", timeout=300, every=0.5)
    assert unsettled(site) == 0
    assert catalogue.inferred(site) == PHOTOS
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
    files = random.Random(0).sample(sorted((SHARED / "images").glob("*.jpg")), COPIES + 20)
    chosen = [path for path in files if hashlib.sha256(path.read_bytes()).hexdigest() in listing_of][:COPIES]
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
    assert found >= 0.95 * COPIES, f"{found} of {COPIES}"
