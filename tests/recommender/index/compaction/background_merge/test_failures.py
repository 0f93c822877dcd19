"""A merge that fails costs nothing but itself: flushes go on, and it is tried again after a pause."""

import threading

import pytest

from recommender.index.ann import choose_structure
from recommender.index.compaction.compactor import compact, stop_merges
from recommender.index.compaction.verify import verify
from recommender.index.errors import SnapshotUnreadable
from recommender.index.storage import segment
from recommender.models import IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.compaction.merges import (
    BATCH,
    begin_a_merge,
    is_merging,
    let_it_retry,
    running_merges,
    the_merge,
    wait_for_merges,
)
from tests.recommender.index.served import (
    everything,
    found,
    segment_names,
)


def test_a_merge_that_cannot_be_opened_now_is_published_when_it_can(model, index, early_stop, monkeypatch):
    begin_a_merge(model, early_stop)
    merging, merged, real = set(the_merge().sources), the_merge().directory, segment.open_segment
    early_stop.release()

    def refuse(directory, version):
        if directory == merged:
            raise SnapshotUnreadable("Too many open files")
        return real(directory, version)

    with monkeypatch.context() as faults:
        faults.setattr(segment, "open_segment", refuse)
        assert compact().actions == ("failed",)
        assert merging <= set(segment_names())
    assert the_merge().directory == merged
    let_it_retry(monkeypatch)
    assert compact().actions == ("merged",)
    assert merging.isdisjoint(segment_names())
    assert verify() == []


def test_a_merge_for_which_there_is_no_thread_is_begun_again_later(model, index, monkeypatch):
    real = threading.Thread.start

    def start(thread):
        if thread.name == "index-merge":
            raise RuntimeError("can't start new thread")
        real(thread)

    with monkeypatch.context() as faults:
        faults.setattr(threading.Thread, "start", start)
        for number in range(4):
            catalogue.add_many(model, BATCH, start=number * BATCH)
            assert compact().actions == ("flushed", "failed")[: 1 + number // 3]
    stop_merges()
    let_it_retry(monkeypatch)
    compact()
    the_merge().wait()
    assert compact().actions == ("merged",)
    assert found(index, exact=True) == everything()


FAILURES = [OSError(28, "No space left on device"), RuntimeError("a fault"), ValueError("a fault"), MemoryError()]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_merge_that_fails_on_its_thread_costs_nothing_but_itself(
    model, index, stop, index_root, error, caplog, monkeypatch
):
    begin_a_merge(model, stop)
    merging = set(the_merge().sources)
    failed = the_merge().directory
    stop.release(error)
    assert not failed.exists()
    assert not failed.with_name(f"{failed.name}.part").exists()
    catalogue.add_many(model, 3, start=9_000)
    before = IndexSnapshot.objects.last().position
    assert compact().actions == ("flushed", "failed")
    assert "cannot be merged" in caplog.text
    assert IndexSnapshot.objects.last().position != before  # what changed was flushed before
    assert merging < set(segment_names())
    assert found(index, exact=True) == everything()
    assert index.health().problem is None
    assert verify() == []
    assert compact().actions == ("nothing",)
    assert running_merges() == {}  # it rests first
    let_it_retry(monkeypatch)
    assert compact().actions == ("nothing",)
    the_merge().wait()
    assert compact().actions == ("merged",)
    assert merging.isdisjoint(segment_names())
    assert found(index, exact=True) == everything()
    assert verify() == []


def test_a_merge_that_always_fails_never_stops_the_flushes(model, index, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("it fails every time")

    monkeypatch.setattr(
        choose_structure,
        "build_search_structure",
        lambda *args: fail() if is_merging() else choose_structure.Structure(choose_structure.EXACT),
    )
    outcomes: list[tuple[str, ...]] = []
    positions = []
    for number in range(12):
        catalogue.add_many(model, 5, start=number * 5)
        let_it_retry(monkeypatch)
        outcomes.append(compact().actions)
        wait_for_merges()
        positions.append(IndexSnapshot.objects.last().position)
        assert found(index, exact=True) == everything()
    assert outcomes.count(("flushed", "failed")) > 2
    assert len(set(positions)) == len(positions)
    assert index.get_state().rows == 60
    assert len(index.get_state().delta) == 0
    assert verify() == []
