"""Merges that run in the background of this process, watched and held up by tests."""

from __future__ import annotations

import threading

from recommender.index.compaction import retry_pause
from recommender.index.compaction.compactor import compact, own_compactor
from tests.recommender.index import catalogue

BATCH = 50


class Stop:
    """Makes the thread of a merge wait, or fail, when it comes to this function."""

    def __init__(self, monkeypatch, module, name):
        self.reached, self.go, self.error = threading.Event(), threading.Event(), None
        real = getattr(module, name)

        def stopped(*args, **options):
            if is_merging() and not self.go.is_set():
                self.reached.set()
                assert self.go.wait(30)
                if self.error:
                    raise self.error
            return real(*args, **options)

        monkeypatch.setattr(module, name, stopped)

    def release(self, error=None):
        self.error = error
        self.go.set()
        the_merge().wait()


def is_merging():
    """Whether this is the thread of a merge."""
    return threading.current_thread().name == "index-merge"


def running_merges():
    return own_compactor.get().merges


def the_merge():
    (merge,) = running_merges().values()
    return merge


def wait_for_merges():
    for merge in running_merges().values():
        merge.wait()


def begin_a_merge(model, stop):
    """Four flushes make four segments of a tier; their merge is under way now."""
    for number in range(4):
        catalogue.add_many(model, BATCH, start=number * BATCH)
        assert compact().actions == ("flushed",)
    assert stop.reached.wait(30)


def let_it_retry(monkeypatch):
    """As if the time were over for which a failed merge rests."""
    monkeypatch.setattr(retry_pause, "RETRY_SECONDS", 0)
