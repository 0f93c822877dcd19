"""Makes `site-0.1.0.tar.xz`: a small site as version 0.1.0 left it, on which later versions are started.

    python -m tests.acceptance.archive.make_site_0_1_0

It was run once, in an environment with the requirements of COMMIT, and need not be run again: the archive's worth is
that no later code has touched it. The next version whose files differ gets a script and an archive of its own beside
this one. Random names, keys and times differ between runs; photos, listings, weights and answers do not.

The code of COMMIT does the work, in a checkout of its own, by commands and over HTTP. The archive holds what that code
said of the site, `expected.json`, and `var/` without what a start makes anew (sockets, static files, compiled graphs).
Everything that a database row says of a file is relative to VAR_DIR, so the site may be unpacked anywhere.
"""

from __future__ import annotations

import io
import json
import os
import random
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from tests.acceptance import catalogue
from tests.servers.stack import PASSWORD, UNTHROTTLED, Stack
from tests.servers.visitor import Visitor

from .packing import check_out, hash_files, pack_site
from .small_network import write_network

COMMIT = "ebec28fa407d6d6608891edde6d96965046e7afe"
ARCHIVE = Path(__file__).with_name("site-0.1.0.tar.xz")
SEED = 1

PRODUCT = ("id", "product_name", "category", "price", "location", "latitude", "longitude", "create_time", "seller")
CATEGORIES = ("Home / Chairs", "Home / Lamps", "Clothing / Coats", "Garden")
PLACES = (("Leeds", "53.7997", "-1.5492"), ("York", "53.9591", "-1.0815"), ("Bristol", "51.4545", "-2.5879"))
# Every listing that is much alike: no ranking decides which are in.
ALIKE = "limit=100&min_similarity=0.95"
FILTERS = ("", "&category=Home", "&category=Garden&max_price=60", "&near=53.8,-1.55&radius_km=60", "&status=sold")

# The index gets an inverted file only where a segment has a thousand rows: 101 listings of ten photos of 8 x 8 pixels.
LISTINGS, PHOTOS = 101, 10
ENVIRON = {"INDEX_EXACT_ROWS": "1000", "LOG_LEVEL": "WARNING", **UNTHROTTLED}

PEOPLE_AND_RANKER = f"""
from django.contrib.auth.models import User
from recommender.models import RankerVersion
from recommender.ranking.versions import activate
User.objects.create_user("anna", password={PASSWORD!r})
weights = {{"similarity": 1.0, "category": 0.25, "price": 0.15}}
activate(RankerVersion.objects.create(name="second", weights=weights, features=list(weights)))
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mp-old-") as scratch, check_out(COMMIT, Path(scratch) / "code") as code:
        site = Stack(Path(scratch) / "var", web=1, environ=ENVIRON, root=code)
        try:
            expected = fill_site(site, Path(scratch))
        finally:
            site.stop()
        pack_site(site.var, expected, ARCHIVE)
    print(f"{ARCHIVE}: {ARCHIVE.stat().st_size:,} bytes", file=sys.stderr)


# What the site goes through


def fill_site(site: Stack, scratch: Path) -> dict[str, Any]:
    """Make the site, from nothing to its last change; what its own code then said of it."""
    prepare_site(site, scratch)
    site.start()
    admin, anna = site.admin(), site.visitor(get_token(site, "anna"))
    listings = open_shop(site, anna)
    change_before_the_snapshot(admin, listings)
    site.manage("index", "compact")
    served = json.loads(site.manage("index", "status"))
    files = hash_files(site.var / "index")
    change_after_the_snapshot(site, admin, anna, listings)
    rejected = upload_damaged(site, anna, listings[2])
    expected = {
        "commit": COMMIT,
        "password": PASSWORD,
        "tokens": {"admin": admin.token, "anna": anna.token},
        "snapshot": served["snapshot"],
        "segments": [segment["name"] for segment in served["segments"]],
        "files": files,
        "rejected": rejected,
        "ranker": "second",
        "similar": {
            str(pk): {ALIKE + narrowed: ask_similar(anna, pk, ALIKE + narrowed) for narrowed in FILTERS}
            for pk in choose_questions(site, anna)
        },
        "draft": listings[3],
    }
    check_site(site, expected)
    site.stop()
    leave_one_waiting(site, scratch, expected)
    return expected


def prepare_site(site: Stack, scratch: Path) -> None:
    """The schema, a model, a thousand photos of many listings, and an index that has an inverted file of them."""
    site.var.mkdir(mode=0o700)
    with os.fdopen(os.open(site.var / "secret-key", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("of-an-archive-that-everybody-may-read\n")
    photos = draw_catalogue(scratch / "catalogue")
    write_network(scratch / "small.safetensors", photos, dim=32, size=32)
    site.manage("prepare_database")
    site.manage("models", "register", "--weights", str(scratch / "small.safetensors"), "--activate")
    site.manage("shell", "-c", PEOPLE_AND_RANKER)
    site.run(*catalogue.arguments(scratch / "catalogue"))
    site.manage("embed", "--here")
    site.manage("index", "compact")


def draw_catalogue(folder: Path) -> list[bytes]:
    images = folder / "images"
    images.mkdir(parents=True)
    dice = random.Random(SEED)
    products: list[tuple[str, ...]] = []
    rows: list[tuple[str, str]] = []
    photos: list[bytes] = []
    for number in range(LISTINGS):
        place = PLACES[number % len(PLACES)]
        cells = (CATEGORIES[number % len(CATEGORIES)], f"£{5 + number}", *place, "2026-01-01", f"shop{number % 3}")
        products.append((f"old-{number}", f"Listing {number}", *cells))
        for _ in range(PHOTOS):
            name = f"old-{len(photos)}"
            photos.append(draw_picture(dice, 8))
            (images / f"{name}.jpg").write_bytes(photos[-1])
            rows.append((name, f"old-{number}"))
    catalogue.write(folder / "Products.csv", PRODUCT, products)
    catalogue.write(folder / "Images.csv", catalogue.PHOTO, rows)
    return photos


def draw_picture(dice: random.Random, side: int) -> bytes:
    """A square JPEG of two colours: a bar over a ground."""
    ground, ink = (tuple(dice.randrange(256) for _ in range(3)) for _ in range(2))
    picture = Image.new("RGB", (side, side), ground)
    left, top = dice.randrange(side // 2), dice.randrange(side // 2)
    ImageDraw.Draw(picture).rectangle((left, top, left + side // 2, side), fill=ink)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()


def open_shop(site: Stack, anna: Visitor) -> list[int]:
    """A dozen listings of one seller, as people upload them: each with a photo, every third with two."""
    dice = random.Random(SEED + 1)
    listings = []
    for number in range(12):
        place, latitude, longitude = PLACES[number % len(PLACES)]
        listing = {
            "title": f"Anna's {number}",
            "description": "As good as new.",
            "price": None if number == 5 else f"{10 * number}.50",
            "category": CATEGORIES[number % len(CATEGORIES)],
            "location": place,
            "latitude": latitude,
            "longitude": longitude,
        }
        pk = anna.post("/api/v1/listings/", listing).expect(201).json()["id"]
        upload_photos(anna, pk, *(draw_picture(dice, 40) for _ in range(1 if number % 3 else 2)))
        listings.append(pk)
    wait_until_settled(site)
    return listings


def change_before_the_snapshot(admin: Visitor, listings: list[int]) -> None:
    """One listing of each state, among the old ones too, so that rows of the first segment are dead."""
    for pk, status in ((listings[3], "draft"), (listings[4], "sold"), (7, "sold")):
        admin.patch(f"/api/v1/listings/{pk}/", {"status": status}).expect(200)
    for pk in (listings[6], 8):
        admin.delete(f"/api/v1/listings/{pk}/").expect(204)


def change_after_the_snapshot(site: Stack, admin: Visitor, anna: Visitor, listings: list[int]) -> None:
    """What only the change feed says: a price, a state, a removal, a photo that went and a photo that came."""
    anna.patch(f"/api/v1/listings/{listings[0]}/", {"price": "59.00"}).expect(200)
    anna.patch(f"/api/v1/listings/{listings[8]}/", {"status": "sold"}).expect(200)
    admin.delete("/api/v1/listings/20/").expect(204)
    photos = admin.get("/api/v1/listings/21/").expect(200).json()["images"]
    admin.delete(f"/api/v1/listings/21/images/{photos[0]['id']}/").expect(204)
    upload_photos(anna, listings[1], draw_picture(random.Random(SEED + 2), 40))
    wait_until_settled(site)


def upload_damaged(site: Stack, anna: Visitor, listing: int) -> dict[str, Any]:
    """A photo whose header is sound and whose end is missing."""
    whole = draw_picture(random.Random(SEED + 3), 200)
    photo = upload_photos(anna, listing, whole[: len(whole) // 2])
    wait_until_settled(site)
    images = anna.get(f"/api/v1/listings/{listing}/").expect(200).json()["images"]
    image = next(image for image in images if image["id"] == photo)
    assert image["state"] == "rejected", image
    return {"listing": listing, "image": photo, "reason": image["reason"]}


def leave_one_waiting(site: Stack, scratch: Path, expected: dict[str, Any]) -> None:
    """Import a listing while no worker runs; its photo is another JPEG of a photo that the index holds."""
    twin = next(iter(expected["similar"]))
    sql = f"SELECT original FROM listings_listingimage WHERE listing_id = {int(twin)} ORDER BY position"  # noqa: S608
    photo = io.BytesIO()
    original = f"originals/{ask_database(site, sql)}"
    Image.open(site.var / original).save(photo, "JPEG", quality=95)
    folder = scratch / "late"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "late.jpg").write_bytes(photo.getvalue())
    cells = ("late", "Came last", "Home / Chairs", "£12", *PLACES[0], "2026-01-02", "shop0")
    catalogue.write(folder / "Products.csv", PRODUCT, [cells])
    catalogue.write(folder / "Images.csv", catalogue.PHOTO, [("late", "late")])
    site.run(*catalogue.arguments(folder))
    waiting = ask_database(site, "SELECT id FROM listings_listing WHERE external_id = 'late'")
    expected["waiting"] = {"listing": waiting, "twin": int(twin), "photo_of_twin": original}


# Questions


def get_token(site: Stack, name: str) -> str:
    answer = site.visitor().post("/api/v1/token/", {"username": name, "password": PASSWORD})
    return answer.expect(200).json()["token"]


def upload_photos(visitor: Visitor, listing: int, *photos: bytes) -> int:
    """The id of the last photo."""
    files = [("images", "photo.jpg", photo) for photo in photos]
    return visitor.post(f"/api/v1/listings/{listing}/images/", files=files).expect(201).json()[-1]["id"]


def wait_until_settled(site: Stack) -> None:
    """Wait until every photo is embedded or rejected, and the index has seen it."""
    site.wait_for(lambda: catalogue.unsettled(site) == 0, "every photo is looked at")
    site.wait_for(lambda: read_index_health(site)["position_lag"] == 0, "the index is fresh")


def read_index_health(site: Stack) -> dict[str, Any]:
    return site.visitor().get("/health/ready").expect(200).json()["details"]["index"]


def choose_questions(site: Stack, anna: Visitor) -> list[int]:
    """Anna's listings, whatever their state but removed, and some of the old ones."""
    sellers = "SELECT id FROM auth_user WHERE username = 'anna'"
    sql = f"SELECT group_concat(id) FROM listings_listing WHERE seller_id IN ({sellers})"  # noqa: S608
    own = [int(pk) for pk in ask_database(site, sql).split(",")]
    shown = [pk for pk in own if anna.get(f"/api/v1/listings/{pk}/").status == 200]
    return [*shown, 1, 21, 50, 101]


def ask_similar(visitor: Visitor, pk: int, query: str) -> dict[str, float]:
    answer = visitor.get(f"/api/v1/listings/{pk}/similar/?{query}").expect(200).json()
    return {str(result["listing"]["id"]): round(result["similarity"], 4) for result in answer["results"]}


def check_site(site: Stack, expected: dict[str, Any]) -> None:
    """Refuse to keep a site that is not what the archive is for."""
    status = json.loads(site.manage("index", "status"))
    assert status["snapshot"] == expected["snapshot"], "the changes were flushed"
    assert [bool(segment["lists"]) for segment in status["segments"]] == [True, False], status
    assert site.manage("index", "verify").strip() == "0 differences"
    found = [len(answers[ALIKE]) for answers in expected["similar"].values()]
    assert max(found) < 100, f"the limit cuts answers off: {found}"
    assert sum(found) > 100, f"too few listings are alike to tell anything: {found}"


def ask_database(site: Stack, sql: str) -> Any:
    with closing(sqlite3.connect(site.var / "db.sqlite3")) as connection:
        return connection.execute(sql).fetchone()[0]


if __name__ == "__main__":
    main()
