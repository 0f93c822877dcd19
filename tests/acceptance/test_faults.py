"""What happens to machines happens here, to real processes: what was saved is there once, embedded and findable.

The long form of the first test is `python -m benchmarks faults`.
"""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from benchmarks.faults.fault import BACK_WITHIN_SECONDS, Inject, at_once
from benchmarks.faults.kinds import broker, files, processes
from benchmarks.faults.scene import Scene
from tests.acceptance import catalogue, under_fire
from tests.acceptance.catalogue import embedded, inferred, scalar
from tests.acceptance.conftest import copy
from tests.servers.stack import UNTHROTTLED, Stack

BATCH = 8
OUTAGE_SECONDS = 4
SLOWEST_SAVE_SECONDS = 3.0  # of a loaded machine; a broker that is waited for takes longer
SHORT_LEASES = {
    "EMBED_LEASE_SECONDS": "3",
    "EMBED_SLICE_SECONDS": "2",
    "EMBED_BATCH": str(BATCH),
    "LOG_LEVEL": "INFO",
    **UNTHROTTLED,
}
LEASED = "SELECT COUNT(*) FROM recommender_embedding WHERE state = 'leased'"
REJECTED = "SELECT COUNT(*) FROM recommender_embedding WHERE state = 'rejected'"


@pytest.fixture(scope="module")
def site(short_tmp: Path, prepared_var: Path) -> Iterator[Stack]:
    with Stack(copy(prepared_var, short_tmp), web=2, embedding=2, environ=SHORT_LEASES) as running:
        yield running


def test_nothing_saved_is_lost_or_doubled_by_kills_nor_without_broker_and_index(site):
    scene = under_fire.open_scene(site)
    site.manage("index", "compact")
    before = _head(site)
    outcome = under_fire.suffer(
        scene,
        "kills, no broker and no index",
        *(kill(processes.find_web_worker), kill(find_embedding_workers)),
        *(broker.take_broker_away, at_once(files.delete_index)),
        seconds=OUTAGE_SECONDS,
        back_within=2 * BACK_WITHIN_SECONDS,
    )
    assert outcome.save_gap < SLOWEST_SAVE_SECONDS
    assert _head(site) > before, "the index was not rebuilt from rows"


def kill(find: processes.Find) -> Inject:
    return at_once(partial(processes.send, find, signal.SIGKILL))


def find_embedding_workers(scene: Scene) -> list[int]:
    return [pid for name, pid in scene.stack.pids().items() if name.startswith("embedding-")]


@pytest.mark.parametrize("listings", [40, pytest.param(130, marks=pytest.mark.soak)])
def test_an_import_loses_nothing_by_kill_9_and_an_expired_lease(site, short_tmp, listings):
    folder = short_tmp / f"drawn-{listings}"
    photos = catalogue.draw(folder, listings=listings)
    embedded_before, inferred_before = embedded(site), inferred(site)
    faults = kill_and_stall_workers_during_an_import(site, folder, embedded_before, photos)
    assert embedded(site) == embedded_before + photos
    assert scalar(site, REJECTED) == 0
    assert inferred(site) <= inferred_before + photos + faults * BATCH
    assert site.manage("index", "verify").strip().splitlines()[-1] == "0 differences"


def kill_and_stall_workers_during_an_import(stack: Stack, folder: Path, before: int, photos: int) -> int:
    """The number of kills and expired leases. What the workers held is embedded by another one."""
    importer = stack.spawn(*catalogue.arguments(folder))
    stack.wait_for(lambda: embedded(stack) >= before + 2 * BATCH, "the import is under way", timeout=60, every=0.02)
    killed = stack.kill("embedding-1")
    stack.wait_for(lambda: embedded(stack) >= before + 4 * BATCH, "the other worker goes on", timeout=60, every=0.02)
    stack.wait_for(lambda: stall_with_photos(stack), "the other worker is stopped in a batch", timeout=60, every=0.02)
    assert stack.wait_for_restart("embedding-1", killed)
    assert importer.wait(120) == 0
    stack.wait_for(lambda: embedded(stack) == before + photos, "every imported photo is embedded", timeout=120)
    stack.resume("embedding-2")
    return 2


def stall_with_photos(stack: Stack) -> bool:
    """Stop the second worker, but not while it has no photos, or holds SQLite's lock, which would stop all others."""
    stack.pause("embedding-2")
    with (
        closing(sqlite3.connect(stack.var / "db.sqlite3", timeout=0.1, isolation_level=None)) as connection,
        suppress(sqlite3.OperationalError),
    ):
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute(LEASED).fetchone()[0]:
            return True
    stack.resume("embedding-2")
    return False


def _head(stack: Stack) -> int:
    return scalar(stack, "SELECT COALESCE(snapshot_id, 0) FROM recommender_indexhead")
