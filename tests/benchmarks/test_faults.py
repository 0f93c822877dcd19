"""The benchmark of faults counts what is lost, doubled, stale and late: each is told where it is so, and only there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.faults.clock import Clock
from benchmarks.faults.episode import Episode
from benchmarks.faults.fault import Fault, at_once
from benchmarks.faults.finding import split_by_price
from benchmarks.faults.ledger import compare_saves
from benchmarks.faults.notebook import Save, now
from benchmarks.faults.outcome import Outcome, judge_saves
from benchmarks.faults.staleness import FRESH_SECONDS, StalenessWatch
from benchmarks.faults.table import format_table
from benchmarks.faults.watching import find_longest_gap
from listings.models import ListingImage
from recommender.models import Embedding, EmbeddingModel
from tests.factories import make_image, make_listing, make_ready_image
from tests.servers.stack import children
from tests.servers.visitor import Visitor
from tests.servers.waiting import wait_for


@pytest.fixture
def saved(db):
    """A listing whose photo has its files and its vector, and what its saver was promised."""
    EmbeddingModel.objects.create(
        version="fake", arch="fake", dim=2, checkpoint="/none", sha256="0" * 64, state=EmbeddingModel.State.ACTIVE
    )
    listing = make_listing(title="Saved under fire 1")
    image = make_ready_image(listing)
    Embedding.objects.filter(image=image).update(state="done", vector=b"\0" * 4)
    promise = {"title": listing.title, "listing": listing.pk, "sha256": image.sha256}
    return image, {**promise, "acknowledged": True, "found": True, "removed": False}


def test_a_save_that_is_there_once_is_neither_lost_nor_doubled(saved):
    assert compare_saves([saved[1]]) == {"lost": [], "doubled": []}


LOSSES = {
    "has no row": lambda image: image.listing.delete(),
    "has no photo": lambda image: image.delete(),
    "has no file original": lambda image: image.original.storage.delete(image.original.name),
    "has no file thumb_file": lambda image: image.thumb_file.storage.delete(image.thumb_file.name),
    "is new": lambda image: ListingImage.objects.filter(pk=image.pk).update(state="new"),
    "is pending": lambda image: Embedding.objects.update(state="pending", vector=None),
    "has no embedding": lambda image: Embedding.objects.all().delete(),
}


@pytest.mark.parametrize("said", LOSSES)
def test_each_part_that_is_missing_is_told(saved, said):
    image, promise = saved
    LOSSES[said](image)
    lost = compare_saves([promise])["lost"]
    assert len(lost) == 1
    assert said in lost[0]
    assert compare_saves([{**promise, "acknowledged": False}])["lost"] == []


def test_a_save_that_is_not_found_or_comes_back_after_its_removal_is_told(saved):
    promise = saved[1]
    assert "not found" in compare_saves([{**promise, "found": False}])["lost"][0]
    assert "was removed and is active" in compare_saves([{**promise, "removed": True}])["lost"][0]


def test_two_listings_and_two_photos_of_one_save_are_told(saved):
    image, promise = saved
    make_image(image.listing, sha256=image.sha256)
    assert "its photo 2 times" in compare_saves([{**promise, "acknowledged": False}])["doubled"][0]
    make_listing(title=image.listing.title)
    assert "2 listings" in compare_saves([{**promise, "acknowledged": False}])["doubled"][0]


def test_the_longest_gap_counts_from_the_beginning_and_to_the_end():
    assert find_longest_gap([1.0, 2.0, 9.0], 0.0, 10.0) == 7.0
    assert find_longest_gap([5.0], 0.0, 7.0) == 5.0
    assert find_longest_gap([], 0.0, 3.0) == 3.0


def test_saves_are_looked_for_in_groups_that_one_answer_holds():
    saves = [Save(number, "REST", "", b"", "", 0.0) for number in (250, 1, 100, 101, 200)]
    assert [[save.number for save in some] for some in split_by_price(saves)] == [[1, 100], [101, 200], [250]]


KILL = Fault("kill", at_once(print), back_within=10.0)
START, END = 100.0, 101.0


def make_save(number: int, began: float, acknowledged: float | None, found: float | None, refusal: str = "") -> Save:
    save = Save(number, "REST", "", b"", "", began, refusal=refusal)
    save.acknowledged, save.found = acknowledged, found
    return save


BEFORE, AFTER = make_save(1, 99.0, 99.5, 103.0), make_save(2, 102.0, 103.0, 104.5)
JUDGED = {
    "nothing": ([BEFORE, AFTER], 3.5, 2.0, []),
    "late": ([BEFORE, AFTER, make_save(3, 102.0, 104.0, 115.5)], 3.5, 11.5, ["fire 3 was found after 11.5 s"]),
    "late and never back": (
        [make_save(4, 99.0, 99.5, 112.0)],
        None,
        11.0,
        ["after never", "nothing that was saved"],
    ),
    "never back": ([BEFORE], None, 2.0, ["nothing that was saved after the fault was found"]),
    "never found": ([BEFORE, make_save(5, 102.0, 103.0, None)], None, 2.0, ["nothing that was saved after"]),
    "refused": ([BEFORE, AFTER, make_save(6, 102.0, None, None, "400 invalid")], 3.5, 2.0, ["by REST: 400 invalid"]),
}


@pytest.mark.parametrize("said", JUDGED)
def test_what_is_late_refused_or_never_back_breaks_a_promise(said):
    saves, back, slowest, broken = JUDGED[said]
    outcome = judge_saves(KILL, saves, [99.9, 102.5], START, END)
    assert (outcome.back, outcome.slowest) == (back, slowest)
    assert len(outcome.broken) == len(broken)
    assert all(words in sentence for words, sentence in zip(broken, outcome.broken, strict=True))


def test_nothing_is_late_where_nothing_is_promised():
    late = [AFTER, make_save(3, 102.0, 104.0, 115.5)]
    assert judge_saves(Fault("stop", at_once(print)), late, [], START, END).broken == []


def test_a_fault_that_stays_ends_after_everything_was_counted(monkeypatch):
    happened = []

    @contextmanager
    def inject(scene):
        happened.append("begins")
        yield
        happened.append("ends")

    def count(episode, start, end):
        happened.append("counted")
        return Outcome(fault="clock")

    monkeypatch.setattr("benchmarks.faults.episode.MOST_SECONDS", 0)
    monkeypatch.setattr(Episode, "_count", count)
    site = SimpleNamespace(url="http://127.0.0.1:9", log=str)
    scene: Any = SimpleNamespace(
        stack=site,
        admin=Visitor(site.url),
        random=Random(1),
        anchor=1,
        changed=2,
        changes=0,
        make_savers=lambda *_: [],
    )
    for stays in (True, False):
        Episode(scene, Fault("clock", inject, stays=stays), 0, (0, 0)).run()
    assert happened == ["begins", "counted", "ends", "begins", "ends", "counted"]


@pytest.mark.parametrize(
    ("age", "found", "behind", "is_stale"),
    [
        (FRESH_SECONDS + 1, [7], 0, False),
        (FRESH_SECONDS + 1, [], 0, True),
        (FRESH_SECONDS + 1, [], 3, False),
        (FRESH_SECONDS - 1, [], 0, False),
    ],
)
def test_an_answer_is_stale_if_it_misses_an_old_change_and_does_not_say_so(monkeypatch, age, found, behind, is_stale):
    answer = {"results": [{"listing": {"id": pk}} for pk in found], "index": {"behind": behind}}
    changer: Any = SimpleNamespace(listing=7, shown=(500_001, now() - age), removed=None)
    watch = StalenessWatch("", 1, changer)
    monkeypatch.setattr(watch, "_ask", lambda price: answer)
    watch._judge_price()
    assert bool(watch.stale) is is_stale


def test_a_removed_listing_in_an_answer_is_stale(monkeypatch):
    removed = make_save(8, 0.0, 1.0, 2.0)
    removed.listing, removed.removed = 8, now()
    changer: Any = SimpleNamespace(listing=7, shown=None, removed=removed)
    watch = StalenessWatch("", 1, changer)
    monkeypatch.setattr(watch, "_ask", lambda price: {"results": [{"listing": {"id": 8}}]})
    watch._judge_removal()
    assert len(watch.stale) == 1


def test_the_clock_of_a_process_is_set_while_it_runs_and_what_counts_seconds_is_left_alone(tmp_path):
    clock = Clock(tmp_path)
    if clock.reason:
        pytest.skip(clock.reason)
    code = "import time\nwhile input(): print(time.time(), time.monotonic(), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], env=clock.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        for seconds in (0, 7200, -120, 0):
            clock.set(seconds)
            process.stdin.write("x\n")
            process.stdin.flush()
            wall, counted = map(float, process.stdout.readline().split())
            assert wall - time.time() == pytest.approx(seconds, abs=30)
            assert counted - time.monotonic() == pytest.approx(0, abs=30)
        process.stdin.write("\n")


def test_children_are_those_of_every_thread():
    started = []

    def start_and_wait():
        started.append(subprocess.Popen(["sleep", "60"]))
        ended.wait()

    ended = threading.Event()
    thread = threading.Thread(target=start_and_wait)
    thread.start()
    wait_for(lambda: started)
    try:
        assert started[0].pid in children(os.getpid())
    finally:
        ended.set()
        started[0].kill()
        started[0].wait()
        thread.join()


def test_the_table_sums_counts_and_keeps_the_worst_time():
    rounds = [
        Outcome(fault="kill", saved=3, lost=["a"], gap=1.0, back=2.0, failed={"visits": {"503": 1}}),
        Outcome(fault="kill", saved=4, doubled=["b"], gap=0.5, back=7.0, judged=9, failed={"saves": {"503": 2}}),
    ]
    assert format_table(rounds).splitlines()[1].split() == [
        *("kill", "2", "7", "1", "1", "0", "0", "0", "9", "1.0", "s", "7.0", "s", "0.0", "s", "3", "x", "503"),
    ]
    assert "never" in format_table([*rounds, Outcome(fault="kill")]).splitlines()[1].split()
