"""What kills, hangs or stops a worker, with real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from listings.models import ListingImage
from recommender.embedding.queue import CRASHED
from recommender.embedding.watchdog import EXIT_CODE
from recommender.models import Embedding, IndexChange
from tests.recommender.queue_rows import (
    ROOT,
    embed,
    environment,
    expire,
    make_model,
    make_photos,
    media_files,
    named_files,
    states,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


def start_worker(fault: str, sha256: str = "", **extra: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.servers.embedding_worker", fault, sha256]
    return subprocess.Popen(command, cwd=ROOT, env=environment(**extra), stdout=subprocess.PIPE, text=True)


def lives(worker: subprocess.Popen) -> list[int]:
    """How each life of a restarted worker ended."""
    output, _ = worker.communicate(timeout=50)
    return json.loads(output.splitlines()[-1])


def wait_until_stopped(worker: subprocess.Popen) -> None:
    for _ in range(500):
        if "State:\tT" in Path(f"/proc/{worker.pid}/status").read_text():
            return
        assert worker.poll() is None, "The worker ended before it was stopped."
        time.sleep(0.02)
    raise AssertionError("The worker was not stopped.")


def rows() -> list[tuple]:
    return list(
        Embedding.objects.order_by("pk").values_list("pk", "state", "vector", "token", "attempts", "updated_at")
    )


def test_a_killer_photo_among_two_hundred_is_rejected_alone():
    make_model()
    photos = make_photos(200)
    killer = photos[77]
    ends = lives(start_worker("kill", killer.sha256, EMBED_LEASE_SECONDS="1"))
    assert ends == [9, 9, 9, 9, 0]
    assert states() == {"done": 199, "rejected": 1}
    killer.refresh_from_db()
    assert (killer.state, killer.reason) == ("rejected", CRASHED)
    assert ListingImage.objects.filter(state="ready").count() == 199


def test_a_decode_that_sleeps_for_ever_ends_the_worker_and_is_rejected_alone():
    make_model()
    photos = make_photos(12)
    sleeper = photos[5]
    ends = lives(start_worker("hang", sleeper.sha256, EMBED_LEASE_SECONDS="0.8"))
    assert ends == [EXIT_CODE] * 4 + [0]
    assert states() == {"done": 11, "rejected": 1}
    sleeper.refresh_from_db()
    assert sleeper.state == "rejected"


def test_a_worker_stopped_past_its_lease_changes_nothing_when_it_goes_on():
    """Meanwhile a second worker finishes, and one listing is deleted."""
    make_model()
    doomed, *kept = (make_photos(1)[0] for _ in range(4))
    zombie = start_worker("stop", EMBED_LEASE_SECONDS="1.5")
    try:
        wait_until_stopped(zombie)
        assert states() == {"leased": 4}
        time.sleep(1.6)
        assert embed().done == 4
        doomed.listing.delete()
        before, changes = rows(), IndexChange.objects.count()
    finally:
        zombie.send_signal(signal.SIGCONT)
    assert zombie.wait(20) == 0
    assert rows() == before
    assert IndexChange.objects.count() == changes
    assert states() == {"done": len(kept)}
    assert media_files() == named_files()
    assert len(media_files()) == 2 * len(kept)


def test_a_stopped_worker_whose_lease_lives_stores_all_but_what_was_deleted():
    make_model()
    doomed, *kept = (make_photos(1)[0] for _ in range(4))
    worker = start_worker("stop", EMBED_LEASE_SECONDS="30")
    try:
        wait_until_stopped(worker)
        doomed.listing.delete()
    finally:
        worker.send_signal(signal.SIGCONT)
    assert worker.wait(20) == 0
    assert states() == {"done": len(kept)}
    assert media_files() == named_files()


def test_a_worker_killed_in_its_batch_costs_one_batch_and_no_photo():
    make_model()
    make_photos(20)
    worker = start_worker("stop", EMBED_BATCH="8")
    wait_until_stopped(worker)
    worker.kill()
    worker.wait(5)
    assert states() == {"leased": 8, "pending": 12}
    expire()
    embed()
    assert states() == {"done": 20}
