"""Compactors that are killed at any moment, or stopped and woken up late: real processes, on this test's database."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from listings.models import Listing
from recommender.index import Index, find_nearest_listings
from recommender.index.compaction import merge_policy
from recommender.index.compaction.compactor import compact
from recommender.index.compaction.garbage import ABANDONED_SECONDS, collect_garbage
from recommender.index.compaction.verify import verify
from recommender.models import IndexHead, IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.compaction.killed_compactor import ORDERS, PATIENCE, KilledCompactor
from tests.recommender.index.served import EVERYTHING, named_directories

DAY = 86_400


@pytest.fixture
def compactor(model, index_root, settings, monkeypatch):
    monkeypatch.setattr(merge_policy, "SEGMENTS_PER_TIER", 2)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    settings.INDEX_FLUSH_ROWS = 1
    compactor = KilledCompactor(index_root)
    yield compactor
    compactor.close()


class Shop:
    """Something to compact, again and again, and what must be true of it at any time."""

    def __init__(self, model, index) -> None:
        self._model, self.index, self._serial = model, index, itertools.count(1)
        catalogue.add_many(model, 12)

    def change(self) -> None:
        """Two new listings, a price, a vector; one deleted, one hidden."""
        number = next(self._serial)
        catalogue.add_many(self._model, 2, start=number * 10)
        first, second, third, fourth, *_ = Listing.objects.exclude(status="removed").order_by("pk")
        first.delete()
        Listing.objects.filter(pk=second.pk).update(status="removed")
        Listing.objects.filter(pk=third.pk).update(price=number)
        catalogue.store_vector(fourth.images.get(), self._model, catalogue.unit(100_000 + number))
        catalogue.add_many(self._model, 0 if Listing.objects.count() > 30 else 1)

    def is_whole(self) -> None:
        """A reader that lives through everything, and one that starts now, find what is in the database."""
        for index in (self.index, Index()):
            index.refresh()
            assert index.health().problem is None
            assert self._found(index.get_state()) == self._expected()

    def _found(self, state) -> dict[int, float]:
        answer = find_nearest_listings(state, catalogue.unit(0).astype(np.float32), 10_000, EVERYTHING)
        return dict(zip(answer.listing.tolist(), answer.price.tolist(), strict=True))

    def _expected(self) -> dict[int, float]:
        rows = Listing.objects.exclude(status="removed").values_list("pk", "price")
        return {pk: float(price) for pk, price in rows}


@pytest.fixture
def shop(model, index):
    return Shop(model, index)


def expire_the_lease() -> None:
    """As if its seconds had gone by."""
    IndexHead.objects.update(token_until=timezone.now() - timedelta(seconds=1))


def compact_here():
    return compact(force=True).actions


def directories(root: Path) -> set[str]:
    return {path.name for folder in ("segments", "snapshots") for path in (root / folder).iterdir()}


def make_older(root: Path, seconds: float) -> None:
    for path in root.glob("*/*"):
        os.utime(path, (time.time() - seconds,) * 2)


@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("kind", ORDERS)
def test_a_compactor_killed_at_any_step_loses_nothing_and_the_next_one_goes_on(
    compactor, shop, index_root, settings, kind, every
):
    """Steps are file operations that change something, and commits: of a flush, a merge, and the collection after.
    The short form begins at a random one, so that in time it takes every step."""
    if every > 1 and kind == "at once" and connection.vendor == "postgresql":
        pytest.skip("Each file operation is the same on either database, and is tried on SQLite.")
    compact_here()
    shop.change()
    whole = compactor.run(kind)
    assert whole["end"] == 0
    assert sorted(whole["actions"])[:2] == ["flushed", "merged"]
    steps = whole["steps"]
    assert {"fsync", "fallocate", "commit", "committed", "open segment.json", "open manifest.json"} <= set(steps)
    collected = 0
    for tried, at in enumerate(chosen(kind, steps)[random.randrange(every) :: every]):
        shop.change()
        end = compactor.run(kind, "SIGKILL", at)
        assert end == {"end": -signal.SIGKILL}, f"step {at}, {steps[at - 1]}, was not reached"
        shop.is_whole()
        expire_the_lease()
        assert set(compact_here()) <= {"flushed", "merged", "nothing"}
        if tried % 3 == 0:
            assert verify() == []
        shop.is_whole()
        collected += len(directories(index_root) - named_directories())
    assert collected  # kills left something behind
    left = directories(index_root)
    whole_or_needed = {name for name in left if not name.endswith(".part")} | named_directories()
    make_older(index_root, ABANDONED_SECONDS - 60)
    collect_garbage()
    assert directories(index_root) == left
    make_older(index_root, DAY - 600)
    collect_garbage()
    assert directories(index_root) == whole_or_needed
    make_older(index_root, DAY + 600)
    collect_garbage()
    assert directories(index_root) == named_directories()
    shop.is_whole()
    assert verify() == []


def chosen(kind: str, steps: list[str]) -> list[int]:
    """Every step, but of equal ones in a row, such as one file for each column, the first and the last."""
    names = [name.rpartition(".")[2] if name.endswith(".npy") else name for name in steps]
    ends = [at for at, name in enumerate(names, 1) if names[at - 2 : at - 1] != [name] or names[at : at + 1] != [name]]
    return [at for at in ends if kind == "at once" or at > steps.index("committed")]  # a flush is the same in both


LATE = {"flushed", "superseded", "failed"}  # failed: what it was reading was superseded, and collected
STOPS = [("fallocate", 2), ("os.rename", 3), ("open manifest.json", 2), ("os.rename", 4)]


def test_a_compactor_stopped_in_a_merge_changes_nothing_when_it_wakes_up_late(compactor, shop, index_root):
    """Where: as the merged segment begins, and as it is done; as its snapshot begins, and as it is done. A merge on a
    thread is not stopped here: at that moment the other thread may hold SQLite's lock."""
    compact_here()
    shop.change()
    steps = compactor.run("at once")["steps"]
    for name, nth in STOPS:
        shop.change()
        at = [number for number, step in enumerate(steps, 1) if step.startswith(name)][nth - 1]
        stopped = compactor.begin("at once", "SIGSTOP", at)
        try:
            wait_until_stopped(stopped)
            assert compactor_holds_a_lease()
            expire_the_lease()
            assert "merged" in compact_here()
            shop.change()
            assert compact_here() == ("flushed", "merged")
            head, rows = IndexHead.load().snapshot_id, IndexSnapshot.objects.count()
            shop.is_whole()
        finally:
            os.kill(stopped, signal.SIGCONT)
        end = compactor.end()
        assert end["end"] == 0
        assert set(end["actions"]) <= LATE
        assert (IndexHead.load().snapshot_id, IndexSnapshot.objects.count()) == (head, rows)
        assert IndexHead.load().token is None
        assert directories(index_root) == named_directories()
        shop.is_whole()
        assert verify() == []


def compactor_holds_a_lease() -> bool:
    return IndexHead.load().token is not None


def wait_until_stopped(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while "State:\tT" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline, "it was not stopped"
        time.sleep(0.01)
