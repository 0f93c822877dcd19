"""Compactors that are killed at any moment, or stopped and woken up late: real processes, on this test's database.

`python -m tests.recommender.index.compaction.test_crashes` is a compactor that is told what to do, line by line: see
`main`.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

DAY = 86_400
ORDERS = {"at once": (True, 10**9), "on a thread": (False, 0)}  # compact with `force`?, the longest merge at once
PATIENCE = 60


class Steps:
    """Counts what changes files, or commits, and does something at one of these steps: before it happens."""

    def __init__(self, root: str, at: int, act: Callable[[], None]) -> None:
        self._root, self._at, self._act = root, at, act
        self.taken: list[str] = []

    def step(self, name: str) -> None:
        self.taken.append(name)
        if len(self.taken) == self._at:
            self._act()

    def watch(self) -> None:
        from django.db.backends.base.base import BaseDatabaseWrapper

        sys.addaudithook(self._heard)
        fallocate, commit = os.posix_fallocate, BaseDatabaseWrapper._commit

        def counted_fsync(descriptor: int) -> None:
            self.step("fsync")  # and nothing more: the kernel outlives what is killed here

        def counted_fallocate(*args: int) -> None:
            self.step("fallocate")
            fallocate(*args)

        def counted_commit(connection: BaseDatabaseWrapper) -> None:
            self.step("commit")
            commit(connection)
            self.step("committed")

        os.fsync, os.posix_fallocate = counted_fsync, counted_fallocate
        BaseDatabaseWrapper._commit = counted_commit

    def _heard(self, event: str, args: tuple) -> None:
        if event == "open":
            path, mode, _ = args
            if isinstance(path, str) and path.startswith(self._root) and mode and set(mode) & set("wax+"):
                self.step(f"open {Path(path).name}")
        elif event in {"os.mkdir", "os.rename", "os.remove", "os.rmdir"}:
            self.step(f"{event} {Path(os.fsdecode(args[0])).name}")


def life(root: str, kind: str, signal_name: str, at: int) -> None:
    """One compaction, in a process of its own that gets the signal at step `at`."""
    from django.conf import settings

    from recommender.index.compaction import merge_policy, merge_runner
    from recommender.index.compaction.compactor import own_compactor

    compactor = own_compactor.get()
    force, merge_runner.FOREGROUND_MERGE_ROWS = ORDERS[kind]
    merge_policy.SEGMENTS_PER_TIER = 2
    settings.INDEX_ROOT, settings.INDEX_FLUSH_ROWS = Path(root), 1
    steps = Steps(root, at, lambda: os.kill(os.getpid(), getattr(signal, signal_name)))
    steps.watch()
    actions = list(compactor.compact(force=force).actions)
    if not force:
        for merge in compactor.merges.values():
            merge.wait()
        actions += compactor.compact().actions
    print(json.dumps({"actions": actions, "steps": steps.taken}), flush=True)


def main() -> None:
    """Read [index root, kind, signal, step] from each line; fork a life; print how it ended."""
    import django

    django.setup()
    import recommender.index.compaction.compactor  # noqa: F401 - so that no life imports it again

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            life(*json.loads(line))
            os._exit(0)
        print(json.dumps({"pid": child}), flush=True)
        print(json.dumps({"end": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}), flush=True)


class Compactor:
    """Another compactor's process; every order is a life of its own."""

    def __init__(self, root: Path) -> None:
        from tests.recommender.queue_rows import ROOT, environment

        self._root = root
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.recommender.index.compaction.test_crashes"],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, kind: str, signal_name: str = "SIGKILL", at: int = 0) -> int:
        """Returns the life's process id."""
        order = json.dumps([str(self._root), kind, signal_name, at])
        assert self._process.stdin
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        return self._answer()["pid"]

    def end(self) -> dict:
        """`end` is the exit status; `actions` and `steps` are of a life that was not killed."""
        answer: dict = {}
        while "end" not in answer:
            answer |= self._answer()
        return answer

    def run(self, *order) -> dict:
        self.begin(*order)
        return self.end()

    def close(self) -> None:
        with self._process:
            assert self._process.stdin
            self._process.stdin.close()
            self._process.wait(PATIENCE)

    def _answer(self) -> dict:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


@pytest.fixture
def compactor(model, index_root, settings, monkeypatch):
    from recommender.index.compaction import merge_policy

    monkeypatch.setattr(merge_policy, "SEGMENTS_PER_TIER", 2)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    settings.INDEX_FLUSH_ROWS = 1
    compactor = Compactor(index_root)
    yield compactor
    compactor.close()


class Shop:
    """Something to compact, again and again, and what must be true of it at any time."""

    def __init__(self, model, index) -> None:
        from tests.recommender.index import catalogue

        self._model, self.index, self._serial = model, index, itertools.count(1)
        catalogue.add_many(model, 12)

    def change(self) -> None:
        """Two new listings, a price, a vector; one deleted, one hidden."""
        from listings.models import Listing
        from tests.recommender.index import catalogue

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
        from recommender.index import Index

        for index in (self.index, Index()):
            index.refresh()
            assert index.health()["problem"] is None
            assert self._found(index.state()) == self._expected()

    def _found(self, state) -> dict[int, float]:
        from recommender.index import Filter
        from tests.recommender.index import catalogue

        answer = state.search(
            catalogue.unit(0).astype(np.float32), 10_000, Filter(statuses=("draft", "active", "sold"))
        )
        return dict(zip(answer.listing.tolist(), answer.price.tolist(), strict=True))

    def _expected(self) -> dict[int, float]:
        from listings.models import Listing

        rows = Listing.objects.exclude(status="removed").values_list("pk", "price")
        return {pk: float(price) for pk, price in rows}


@pytest.fixture
def shop(model, index):
    return Shop(model, index)


def expire_the_lease() -> None:
    """As if its seconds had gone by."""
    from datetime import timedelta

    from django.utils import timezone

    from recommender.models import IndexHead

    IndexHead.objects.update(token_until=timezone.now() - timedelta(seconds=1))


def compact_here():
    from recommender.index.compaction.compactor import compact

    return compact(force=True).actions


def differences():
    from recommender.index.compaction.verify import verify

    return verify()


def directories(root: Path) -> set[str]:
    return {path.name for folder in ("segments", "snapshots") for path in (root / folder).iterdir()}


def needed() -> set[str]:
    """What retained snapshots name."""
    from recommender.models import IndexSnapshot

    rows = IndexSnapshot.objects.filter(state="published").values_list("directory", "segments")
    return {directory for directory, _ in rows} | {entry["name"] for _, listed in rows for entry in listed}


def make_older(root: Path, seconds: float) -> None:
    for path in root.glob("*/*"):
        os.utime(path, (time.time() - seconds,) * 2)


@pytest.mark.parametrize("kind", ORDERS)
def test_a_compactor_killed_at_any_step_loses_nothing_and_the_next_one_goes_on(
    compactor, shop, index_root, settings, kind
):
    """Steps are file operations that change something, and commits: of a flush, a merge, and the collection after."""
    from recommender.index.compaction.garbage import ABANDONED_SECONDS, collect_garbage

    compact_here()
    shop.change()
    whole = compactor.run(kind)
    assert whole["end"] == 0
    assert sorted(whole["actions"])[:2] == ["flushed", "merged"]
    steps = whole["steps"]
    assert {"fsync", "fallocate", "commit", "committed", "open segment.json", "open manifest.json"} <= set(steps)
    collected = 0
    for at in chosen(kind, steps):
        shop.change()
        end = compactor.run(kind, "SIGKILL", at)
        assert end == {"end": -signal.SIGKILL}, f"step {at}, {steps[at - 1]}, was not reached"
        shop.is_whole()
        expire_the_lease()
        assert set(compact_here()) <= {"flushed", "merged", "nothing"}
        assert differences() == []
        shop.is_whole()
        collected += len(directories(index_root) - needed())
    assert collected  # kills left something behind
    left = directories(index_root)
    whole_or_needed = {name for name in left if not name.endswith(".part")} | needed()
    make_older(index_root, ABANDONED_SECONDS - 60)
    collect_garbage()
    assert directories(index_root) == left
    make_older(index_root, DAY - 600)
    collect_garbage()
    assert directories(index_root) == whole_or_needed
    make_older(index_root, DAY + 600)
    collect_garbage()
    assert directories(index_root) == needed()
    shop.is_whole()
    assert differences() == []


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
    from recommender.models import IndexHead, IndexSnapshot

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
        assert directories(index_root) == needed()
        shop.is_whole()
        assert differences() == []


def compactor_holds_a_lease() -> bool:
    from recommender.models import IndexHead

    return IndexHead.load().token is not None


def wait_until_stopped(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while "State:\tT" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline, "it was not stopped"
        time.sleep(0.01)


if __name__ == "__main__":
    main()
