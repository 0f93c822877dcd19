"""A compactor in a process of its own, which is killed or stopped at any step that changes files, or commits.

`python -m tests.recommender.index.compaction.killed_compactor` reads what to do from its input, a line at a time: see
`main`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
        fallocate, commit = os.posix_fallocate, BaseDatabaseWrapper.commit

        def counted_fsync(fd: Any) -> None:
            self.step("fsync")  # and nothing more: the kernel outlives what is killed here

        def counted_fallocate(*args: int) -> None:
            self.step("fallocate")
            fallocate(*args)

        def counted_commit(connection: BaseDatabaseWrapper) -> None:
            self.step("commit")
            commit(connection)
            self.step("committed")

        os.fsync, os.posix_fallocate = counted_fsync, counted_fallocate
        BaseDatabaseWrapper.commit = counted_commit  # type: ignore[method-assign, assignment]

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


class KilledCompactor:
    """Another compactor's process; every order is a life of its own."""

    def __init__(self, root: Path) -> None:
        from tests.recommender.queue_rows import ROOT, environment

        self._root = root
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.recommender.index.compaction.killed_compactor"],
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


if __name__ == "__main__":
    main()
