"""What happens to machines happens here, to real processes: afterwards every photo is embedded and findable."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.acceptance import catalogue
from tests.acceptance.catalogue import embedded, inferred, scalar, unsettled
from tests.servers.stack import Stack

LEASE_SECONDS = 6
BATCH = 16
LISTINGS, OUTAGE_SECONDS = (130, 30) if os.environ.get("SOAK") else (90, 8)
SHORT_LEASES = {
    "EMBED_LEASE_SECONDS": str(LEASE_SECONDS),
    "EMBED_SLICE_SECONDS": "4",
    "EMBED_BATCH": str(BATCH),
    "LOG_LEVEL": "INFO",
    **catalogue.UNTHROTTLED,
}


@pytest.fixture(scope="module")
def drawn(short_tmp: Path) -> tuple[Path, int]:
    folder = short_tmp / "drawn"
    return folder, catalogue.draw(folder, listings=LISTINGS)


def verify(stack: Stack) -> str:
    return stack.manage("index", "verify").strip().splitlines()[-1]


def is_clean(stack: Stack) -> bool:
    return verify(stack) == "0 differences"


def test_nothing_is_lost_by_kill_9_an_expired_lease_a_broker_outage_or_deleted_index_files(new_stack, drawn):
    folder, photos = drawn
    stack: Stack = new_stack(web=2, embedding=2, own_broker=True, environ=SHORT_LEASES)
    stack.start()
    faults = kill_and_stall_workers_during_an_import(stack, folder)
    stack.wait_for(lambda: embedded(stack) == photos, "every imported photo is embedded", timeout=120)
    assert scalar(stack, "SELECT COUNT(*) FROM recommender_embedding WHERE state = 'rejected'") == 0
    assert inferred(stack) <= photos + faults * BATCH
    saved = save_while_the_broker_is_down(stack, folder, listings=50, outage_seconds=OUTAGE_SECONDS)
    stack.wait_for(lambda: unsettled(stack) == 0, "what was saved during the outage is embedded", timeout=60)
    delete_the_index_directory(stack)
    everything_is_found(stack, saved)
    assert verify(stack) == "0 differences"


def kill_and_stall_workers_during_an_import(stack: Stack, folder: Path) -> int:
    """The number of kills and expired leases."""
    importer = stack.spawn(*catalogue.arguments(folder))
    stack.wait_for(lambda: embedded(stack) >= 2 * BATCH, "the import is under way", timeout=60, every=0.02)
    killed = stack.kill("embedding-1")
    stack.wait_for(lambda: embedded(stack) >= 4 * BATCH, "the other worker goes on", timeout=60, every=0.02)
    stack.pause("embedding-2")
    assert stack.wait_for_restart("embedding-1", killed)
    time.sleep(LEASE_SECONDS + 1)
    stack.resume("embedding-2")
    assert importer.wait(120) == 0
    return 2


def save_while_the_broker_is_down(stack: Stack, folder: Path, listings: int, outage_seconds: float) -> list[int]:
    """Listings saved during the outage; each save takes less than a second."""
    admin = stack.admin()
    picture = (folder / "images" / "drawn-0.jpg").read_bytes()
    stack.broker.stop()
    began = time.monotonic()
    saved, slowest = [], 0.0
    for number in range(listings):
        start = time.monotonic()
        listing = admin.post("/api/v1/listings/", {"title": f"Saved without a broker {number}"}).expect(201).json()
        slowest = max(slowest, time.monotonic() - start)
        start = time.monotonic()
        # Bytes after the end of a JPEG are ignored by decoders and make each file a different one.
        content = picture + number.to_bytes(4)
        admin.post(f"/api/v1/listings/{listing['id']}/images/", files=[("images", "a.jpg", content)]).expect(201)
        slowest = max(slowest, time.monotonic() - start)
        saved.append(listing["id"])
    assert slowest < 1, f"the slowest save took {slowest:.2f} s"
    time.sleep(max(0.0, outage_seconds - (time.monotonic() - began)))
    stack.broker.start()
    return saved


def delete_the_index_directory(stack: Stack) -> None:
    # After this nothing is left to flush, so that only a rebuild can publish the next snapshot.
    stack.manage("index", "compact")
    before = _head(stack)
    assert before
    shutil.rmtree(stack.var / "index")
    anybody = scalar(stack, "SELECT MAX(listing_id) FROM listings_listingimage WHERE state = 'ready'")
    stack.visitor().get(f"/api/v1/listings/{anybody}/similar/").expect(200)
    stack.wait_for(lambda: _head(stack) > before, "the index is rebuilt from rows", timeout=60)
    stack.visitor().get(f"/api/v1/listings/{anybody}/similar/").expect(200)


def _head(stack: Stack) -> int:
    return scalar(stack, "SELECT COALESCE(snapshot_id, 0) FROM recommender_indexhead")


def everything_is_found(stack: Stack, saved: list[int]) -> None:
    """Each listing saved during the outage is found among those like the first of them."""
    admin = stack.admin()
    total = scalar(stack, "SELECT COUNT(DISTINCT listing_id) FROM listings_listingimage WHERE state = 'ready'")
    answer = admin.get(f"/api/v1/listings/{saved[0]}/similar/?limit=100").expect(200).json()
    assert {one["listing"]["id"] for one in answer["results"]} >= set(saved[1:])
    assert answer["index"]["behind"] == 0
    assert answer["index"]["rows"] >= total
