"""What happens to machines happens here, to real processes: what was saved is there once, embedded and findable.

The long form of the first test is `python -m benchmarks faults`.
"""

from __future__ import annotations

import signal
import time
from functools import partial
from pathlib import Path

import pytest

from benchmarks.faults.fault import BACK_WITHIN_SECONDS, Inject, at_once
from benchmarks.faults.kinds import broker, files, processes
from benchmarks.faults.scene import Scene
from tests.acceptance import catalogue, under_fire
from tests.acceptance.catalogue import embedded, inferred, scalar
from tests.servers.stack import Stack

LEASE_SECONDS = 6
BATCH = 16
OUTAGE_SECONDS = 4
SLOWEST_SAVE_SECONDS = 3.0  # of a loaded machine; a broker that is waited for takes longer
SHORT_LEASES = {
    "EMBED_LEASE_SECONDS": str(LEASE_SECONDS),
    "EMBED_SLICE_SECONDS": "4",
    "EMBED_BATCH": str(BATCH),
    "LOG_LEVEL": "INFO",
    **catalogue.UNTHROTTLED,
}


def test_nothing_saved_is_lost_or_doubled_by_kills_nor_without_broker_and_index(new_stack):
    stack: Stack = new_stack(web=2, embedding=1, environ=catalogue.UNTHROTTLED)
    stack.start()
    scene = under_fire.open_scene(stack)
    killed = kill(processes.find_web_worker), kill(find_embedding_worker)
    under_fire.suffer(scene, "kills", *killed, back_within=2 * BACK_WITHIN_SECONDS)
    before = _head(stack)
    outcome = under_fire.suffer(
        scene, "away", broker.take_broker_away, at_once(files.delete_index), seconds=OUTAGE_SECONDS
    )
    assert outcome.save_gap < SLOWEST_SAVE_SECONDS
    assert _head(stack) > before, "the index was not rebuilt from rows"


def kill(find: processes.Find) -> Inject:
    return at_once(partial(processes.send, find, signal.SIGKILL))


def find_embedding_worker(scene: Scene) -> list[int]:
    return processes.find_named(scene, "embedding-1")


@pytest.mark.parametrize("listings", [60, pytest.param(130, marks=pytest.mark.soak)])
def test_an_import_loses_nothing_by_kill_9_and_an_expired_lease(new_stack, short_tmp, listings):
    folder = short_tmp / "drawn"
    photos = catalogue.draw(folder, listings=listings)
    stack: Stack = new_stack(web=2, embedding=2, environ=SHORT_LEASES)
    stack.start()
    faults = kill_and_stall_workers_during_an_import(stack, folder)
    stack.wait_for(lambda: embedded(stack) == photos, "every imported photo is embedded", timeout=120)
    assert scalar(stack, "SELECT COUNT(*) FROM recommender_embedding WHERE state = 'rejected'") == 0
    assert inferred(stack) <= photos + faults * BATCH
    assert stack.manage("index", "verify").strip().splitlines()[-1] == "0 differences"


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


def _head(stack: Stack) -> int:
    return scalar(stack, "SELECT COALESCE(snapshot_id, 0) FROM recommender_indexhead")
