"""A site that version 0.1.0 left goes on under this code: nothing of it is rebuilt, and it answers as it did.

`archive/make_site_0_1_0.py` says what the site holds. Everything is asked by commands and over HTTP, so that the test
knows files and answers alone, and no module of the code.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.servers.stack import UNTHROTTLED, Stack

ARCHIVE = Path(__file__).parent / "archive" / "site-0.1.0.tar.xz"
# Rows that died in the old site are long overdue by now. Segments that hold them are merged at once, and so replaced,
# unless the site may keep them.
KEEP_SEGMENTS = {"PURGE_DAYS": "100000", **UNTHROTTLED}


@dataclass(frozen=True)
class OldSite:
    """A `var/` that this code has prepared, and what the old code said of it."""

    var: Path
    expected: dict[str, Any]

    def changed_files(self, var: Path) -> list[str]:
        """Files of the index that the old code wrote and that are missing or different in this `var/`."""
        return [
            name for name, checksum in self.expected["files"].items() if hash_file(var / "index" / name) != checksum
        ]


def hash_file(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


@pytest.fixture(scope="module")
def old(short_tmp: Path) -> OldSite:
    folder = short_tmp / "old"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    Stack(folder / "var").manage("prepare_database")
    return OldSite(folder / "var", json.loads((folder / "expected.json").read_text()))


@pytest.fixture(scope="module")
def untouched(old: OldSite) -> Path:
    """What commands on the index need, as it was before any process of this code ran."""
    return copy_indexed(old.var, old.var.with_name("untouched"))


@pytest.fixture
def index_only(untouched: Path, tmp_path: Path) -> Path:
    return copy_indexed(untouched, tmp_path / "var")


def enlarge(path: Path) -> bytes:
    """The photo at twice its size: the old site took smaller ones than can be searched with today."""
    photo = io.BytesIO()
    with Image.open(path) as image:
        image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST).save(photo, "PNG")
    return photo.getvalue()


def copy_indexed(source: Path, target: Path) -> Path:
    """Copy a `var/` without its pictures and models."""
    unwanted = {path.name for path in source.iterdir()} - {"db.sqlite3", "index", "secret-key"}
    return shutil.copytree(source, target, ignore=lambda folder, _: unwanted if Path(folder) == source else set())


@pytest.fixture(scope="module")
def site(old: OldSite, untouched: Path) -> Iterator[Stack]:
    """The site, started as `make run` starts it, once the photo that was waiting is in the index."""
    with Stack(old.var, web=1, environ=KEEP_SEGMENTS) as running:
        path = f"/api/v1/listings/{old.expected['waiting']['listing']}/similar/"
        running.wait_for(lambda: running.visitor().get(path).status == 200, "the waiting photo is found", timeout=120)
        yield running


class TestBeforeTheFirstStart:
    def test_the_index_is_read_as_it_lies_there(self, old: OldSite, index_only: Path) -> None:
        output = Stack(index_only).manage("index", "status")
        status = json.loads(output[output.index("{\n") :])  # what is logged comes first
        assert (status["usable"], status["problem"]) == (True, None)
        assert status["snapshot"] == old.expected["snapshot"]
        assert [segment["name"] for segment in status["segments"]] == old.expected["segments"]
        assert old.changed_files(index_only) == []

    def test_its_segments_can_be_merged(self, index_only: Path) -> None:
        site = Stack(index_only, environ={"PURGE_DAYS": "0"})
        assert "flushed, merged; " in site.manage("index", "compact")
        assert site.manage("index", "verify").strip() == "0 differences"


class TestOlderSiteRunning:
    def test_similar_answers_as_before(self, site: Stack, old: OldSite) -> None:
        anna = site.visitor(old.expected["tokens"]["anna"])
        waiting = str(old.expected["waiting"]["listing"])

        def ask_similar(pk: str, query: str) -> dict[str, float]:
            answer = anna.get(f"/api/v1/listings/{pk}/similar/?{query}").expect(200).json()
            assert answer["ranker"] == old.expected["ranker"]
            found = {str(result["listing"]["id"]): result["similarity"] for result in answer["results"]}
            return {listing: likeness for listing, likeness in found.items() if listing != waiting}

        for pk, answers in old.expected["similar"].items():
            for query, found in answers.items():
                assert ask_similar(pk, query) == pytest.approx(found, abs=1e-3), (pk, query)

    def test_the_photo_that_waited_is_embedded_and_found(self, site: Stack, old: OldSite) -> None:
        waiting = old.expected["waiting"]
        answer = site.visitor().get(f"/api/v1/listings/{waiting['twin']}/similar/?limit=100").expect(200).json()
        likeness = {result["listing"]["id"]: result["similarity"] for result in answer["results"]}
        assert likeness[waiting["listing"]] > 0.9

    def test_a_photo_finds_the_listing_it_is_of(self, site: Stack, old: OldSite) -> None:
        waiting = old.expected["waiting"]
        photo = [("image", "photo.png", enlarge(old.var / waiting["photo_of_twin"]))]
        answer = site.visitor().post("/api/v1/search/image/", files=photo).expect(200).json()
        likeness = {result["listing"]["id"]: result["similarity"] for result in answer["results"]}
        of_this_photo = {waiting["twin"], waiting["listing"]}
        assert max(likeness, key=likeness.__getitem__) in of_this_photo
        assert likeness[waiting["twin"]] > 0.99  # the vector that the old code made of it

    def test_people_are_who_they_were(self, site: Stack, old: OldSite) -> None:
        admin = site.visitor().sign_in("admin", old.expected["password"])
        assert "Site administration" in admin.get("/admin/").expect(200).text
        draft = f"/api/v1/listings/{old.expected['draft']}/"
        site.visitor().get(draft).expect(404)
        site.visitor(old.expected["tokens"]["admin"]).get(draft).expect(200)
        anna = site.visitor(old.expected["tokens"]["anna"])
        anna.patch(draft, {"title": "Still Anna's"}).expect(200)

    def test_the_refused_photo_says_why(self, site: Stack, old: OldSite) -> None:
        rejected = old.expected["rejected"]
        anna = site.visitor(old.expected["tokens"]["anna"])
        listing = anna.get(f"/api/v1/listings/{rejected['listing']}/").expect(200).json()
        image = next(image for image in listing["images"] if image["id"] == rejected["image"])
        assert (image["state"], image["reason"]) == ("rejected", rejected["reason"])

    def test_new_segments_stand_beside_the_old_ones(self, site: Stack, old: OldSite) -> None:
        """Nothing is rebuilt: a rebuild would put one new segment in the place of all."""
        assert "rebuilt" not in site.manage("index", "compact")
        assert site.manage("index", "verify").strip() == "0 differences"
        twin = old.expected["waiting"]["twin"]
        asked = site.visitor().get(f"/api/v1/listings/{twin}/similar/", {"explain": 1}).expect(200).json()
        searched = {step["place"] for step in asked["index"]["plan"]} - {"delta"}
        assert searched > set(old.expected["segments"])
        assert [name for name in old.changed_files(old.var) if name.startswith("segments/")] == []
        assert "rebuilding" not in site.log()
