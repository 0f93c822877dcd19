"""A long merge runs on a thread: flushes go on meanwhile, and what changed meanwhile is right once it is published."""

import threading

import numpy as np
import pytest
from django.db import connection

from listings.models import Listing, ListingImage
from recommender.index import Filter, Index
from recommender.index.ann import choose_structure
from recommender.index.compaction import merge_runner, retry_pause
from recommender.index.compaction.compactor import Compactor, compact, own_compactor, rebuild, stop_merges
from recommender.index.compaction.verify import verify
from recommender.index.errors import SnapshotUnreadable
from recommender.index.storage import segment
from recommender.index.storage.snapshot import segment_directory
from recommender.models import EmbeddingModel, IndexSnapshot
from tests.recommender.index import catalogue

EVERYTHING = Filter(statuses=("draft", "active", "sold"))
BATCH = 50


@pytest.fixture(autouse=True)
def long_merges(settings, monkeypatch):
    """Every merge is a long one, every merged segment an inverted file, every change a reason to flush."""
    settings.INDEX_FLUSH_ROWS = 1
    settings.INDEX_EXACT_ROWS = 3 * BATCH
    settings.INDEX_RECALL_TARGET = 0.0
    monkeypatch.setattr(merge_runner, "FOREGROUND_MERGE_ROWS", 0)
    yield
    wait_for_merges()


class Stop:
    """Makes the thread of a merge wait, or fail, when it comes to this function."""

    def __init__(self, monkeypatch, module, name):
        self.reached, self.go, self.error = threading.Event(), threading.Event(), None
        real = getattr(module, name)

        def stopped(*args, **options):
            if threading.current_thread().name == "index-merge" and not self.go.is_set():
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


PLACES = {"before anything is read": (segment, "write"), "after every row is read": (choose_structure, "build")}


@pytest.fixture(params=PLACES)
def stop(request, monkeypatch):
    stop = Stop(monkeypatch, *PLACES[request.param])
    yield stop
    stop.go.set()


@pytest.fixture
def early_stop(monkeypatch):
    stop = Stop(monkeypatch, segment, "write")
    yield stop
    stop.go.set()


def wait_for_merges():
    for merge in own_compactor.get().merges.values():
        merge.wait()


def let_it_retry(monkeypatch):
    """As if the time were over for which a failed merge rests."""
    monkeypatch.setattr(retry_pause, "RETRY_SECONDS", 0)


def the_merge():
    (merge,) = own_compactor.get().merges.values()
    return merge


def begin_a_merge(model, stop):
    """Four flushes make four segments of a tier; their merge is under way now."""
    for number in range(4):
        catalogue.add_many(model, BATCH, start=number * BATCH)
        assert compact().actions == ("flushed",)
    assert stop.reached.wait(30)


def sources():
    return [entry["name"] for entry in IndexSnapshot.objects.last().segments]


def kinds():
    return [segment.read_manifest(segment_directory(name))["structure"]["kind"] for name in sources()]


def directories(index_root):
    return sorted(path.name for path in (index_root / "segments").iterdir())


def found(index, where=EVERYTHING):
    index.refresh()
    query = catalogue.unit(0).astype(np.float32)
    return set(index.state().search(query, 10_000, where, exact=True).listing.tolist())


def best(index, vector):
    """(the most similar listing, its similarity)"""
    index.refresh()
    answer = index.state().search(vector.astype(np.float32), 1, EVERYTHING)
    return int(answer.listing[0]), float(answer.similarity[0])


def everything():
    return set(Listing.objects.exclude(status="removed").values_list("pk", flat=True))


def test_changes_are_flushed_and_visible_while_a_merge_runs_and_right_once_it_is_published(model, index, stop):
    begin_a_merge(model, stop)
    merging = sources()
    deleted, removed, edited, embedded, moved, kept, *_ = Listing.objects.order_by("pk")[7::30]
    gone = [deleted.pk, removed.pk]
    deleted.delete()
    Listing.objects.filter(pk=removed.pk).update(status="removed")
    Listing.objects.filter(pk=edited.pk).update(price=7_777)
    catalogue.store_vector(embedded.images.get(), model, catalogue.unit(987_654))
    ListingImage.objects.filter(listing=moved).update(listing=kept)
    late = catalogue.add_listing(model, seed=4_321)
    before = IndexSnapshot.objects.last()
    assert compact().actions == ("flushed",)
    assert IndexSnapshot.objects.last().position != before.position
    assert set(sources()) > set(merging)
    ends_right(index, gone, edited, embedded, moved, late)
    Listing.objects.filter(pk=kept.pk).update(price=8_888)  # a second flush, over the first
    assert compact().actions == ("flushed",)
    stop.release()
    assert compact().actions == ("merged",)
    assert set(sources()).isdisjoint(merging)
    assert "ivf" in kinds()
    ends_right(index, gone, edited, embedded, moved, late)
    ends_right(Index(), gone, edited, embedded, moved, late)
    assert found(index, Filter(min_price=8_888)) == {kept.pk}
    assert verify() == []
    assert compact(force=True).actions == ("nothing",)


def ends_right(index, gone, edited, embedded, moved, late):
    assert found(index) == everything() - {moved.pk}
    assert found(index).isdisjoint(gone)
    assert edited.pk in found(index, Filter(min_price=7_777, max_price=7_777))
    assert best(index, catalogue.unit(987_654)) == (embedded.pk, pytest.approx(1, abs=1e-2))
    assert best(index, catalogue.unit(432_100)) == (late.pk, pytest.approx(1, abs=1e-2))


def test_a_segment_being_merged_is_merged_nowhere_else(model, index, early_stop):
    """Neither on another thread nor at once, however many flushes come meanwhile."""
    begin_a_merge(model, early_stop)
    first = set(the_merge().sources)
    for number in range(4, 9):
        catalogue.add_many(model, 5, start=number * BATCH)
        assert compact().actions == ("flushed",)
        assert first <= set(sources())
    assert len(own_compactor.get().merges) == 1
    early_stop.release()
    assert compact().actions == ("merged",)
    assert first.isdisjoint(sources())
    assert compact(force=True).actions == ("merged",)  # the five flushes that waited
    assert len(sources()) <= 2
    assert found(index) == everything()
    assert verify() == []


def test_short_merges_go_on_beside_a_long_one(model, index, early_stop, monkeypatch):
    monkeypatch.setattr(merge_runner, "FOREGROUND_MERGE_ROWS", BATCH)
    begin_a_merge(model, early_stop)
    for number in range(4, 8):
        catalogue.add_many(model, 5, start=number * BATCH)
        actions = compact().actions
    assert actions == ("flushed", "merged")
    assert len(sources()) == 5
    early_stop.release()
    assert compact().actions == ("merged",)
    assert len(sources()) == 2
    assert found(index) == everything()
    assert verify() == []


def test_forcing_waits_for_the_merge_that_runs_and_publishes_it(model, index, early_stop):
    begin_a_merge(model, early_stop)
    merging = the_merge()
    threading.Timer(0.3, early_stop.go.set).start()
    assert compact(force=True).actions == ("merged",)
    assert merging.is_done
    assert sources() == [merging.directory.name]
    assert own_compactor.get().merges == {}


def test_rows_that_all_died_during_a_merge_stay_dead(model, index, early_stop):
    """One source is left without a live row, so that the snapshot no longer names it."""
    begin_a_merge(model, early_stop)
    for listing in Listing.objects.order_by("pk")[:BATCH]:
        listing.delete()
    assert compact().actions == ("flushed",)
    early_stop.release()
    compact(force=True)
    assert found(index) == everything()
    assert len(everything()) == 3 * BATCH
    assert verify() == []


def compact_as_another():
    """Another process has a compactor of its own."""
    assert Compactor().compact(force=True).actions == ("merged",)


GONE = {"rebuilt": rebuild, "merged by another": compact_as_another}


@pytest.mark.parametrize("how", GONE)
def test_a_merge_whose_sources_are_gone_meanwhile_is_discarded_with_its_files(
    model, index, early_stop, index_root, how
):
    begin_a_merge(model, early_stop)
    late = the_merge()
    GONE[how]()
    tip = IndexSnapshot.objects.last()
    early_stop.release()
    assert late.directory.exists()
    assert compact().actions == ("nothing",)
    assert not late.directory.exists()
    assert IndexSnapshot.objects.last() == tip
    assert own_compactor.get().merges == {}
    catalogue.add_many(model, 3, start=9_000)
    assert compact().actions == ("flushed",)
    assert found(index) == everything()
    assert verify() == []
    retained = {entry["name"] for row in IndexSnapshot.objects.filter(state="published") for entry in row.segments}
    assert set(directories(index_root)) == retained


def test_a_merge_whose_sources_files_are_deleted_under_it_reads_on_or_fails_and_the_index_is_whole(
    model, index, early_stop, index_root
):
    """Two rebuilds: what the first one superseded is collected at the second."""
    begin_a_merge(model, early_stop)
    merging = set(the_merge().sources)
    rebuild()
    rebuild()
    assert merging.isdisjoint(directories(index_root))
    early_stop.release()
    assert compact().actions == ("nothing",)
    assert compact().actions == ("nothing",)
    assert found(index) == everything()
    assert verify() == []


def test_a_merge_reads_on_where_one_of_its_sources_died_whole_and_was_collected(model, index, early_stop, index_root):
    """Two flushes: what the first one left out is collected at the second."""
    begin_a_merge(model, early_stop)
    merging = the_merge().sources
    Listing.objects.filter(pk__in=Listing.objects.order_by("pk")[:BATCH].values("pk")).update(status="removed")
    for number in range(2):
        assert "flushed" in compact().actions
        catalogue.add_many(model, 3, start=8_000 + 10 * number)
    compact()
    gone = set(merging) - set(directories(index_root))
    assert len(gone) == 1
    early_stop.release()
    assert "merged" in compact().actions
    assert gone.isdisjoint(sources())
    assert set(merging).isdisjoint(sources())
    assert found(index) == everything()
    assert verify() == []


def test_a_merge_that_cannot_be_opened_now_is_published_when_it_can(model, index, early_stop, monkeypatch):
    begin_a_merge(model, early_stop)
    merging, merged, real = set(the_merge().sources), the_merge().directory, segment.load
    early_stop.release()

    def refuse(directory, version):
        if directory == merged:
            raise SnapshotUnreadable("Too many open files")
        return real(directory, version)

    with monkeypatch.context() as faults:
        faults.setattr(segment, "load", refuse)
        assert compact().actions == ("failed",)
        assert merging <= set(sources())
    assert the_merge().directory == merged
    let_it_retry(monkeypatch)
    assert compact().actions == ("merged",)
    assert merging.isdisjoint(sources())
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
    assert found(index) == everything()


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
    assert "could not be merged" in caplog.text
    assert IndexSnapshot.objects.last().position != before  # what changed was flushed before
    assert merging < set(sources())
    assert found(index) == everything()
    assert index.health()["problem"] is None
    assert verify() == []
    assert compact().actions == ("nothing",)
    assert own_compactor.get().merges == {}  # it rests first
    let_it_retry(monkeypatch)
    assert compact().actions == ("nothing",)
    the_merge().wait()
    assert compact().actions == ("merged",)
    assert merging.isdisjoint(sources())
    assert found(index) == everything()
    assert verify() == []


def test_a_merge_that_always_fails_never_stops_the_flushes(model, index, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("it fails every time")

    monkeypatch.setattr(
        choose_structure,
        "build",
        lambda *args: fail() if is_merging() else choose_structure.Structure(choose_structure.EXACT),
    )
    outcomes, positions = [], []
    for number in range(12):
        catalogue.add_many(model, 5, start=number * 5)
        let_it_retry(monkeypatch)
        outcomes.append(compact().actions)
        wait_for_merges()
        positions.append(IndexSnapshot.objects.last().position)
        assert found(index) == everything()
    assert outcomes.count(("flushed", "failed")) > 2
    assert len(set(positions)) == len(positions)
    assert index.state().rows == 60
    assert len(index.state().delta) == 0
    assert verify() == []


def is_merging():
    return threading.current_thread().name == "index-merge"


def test_searches_beside_a_merge_and_its_publication_always_find_everything(model, index, stop):
    begin_a_merge(model, stop)
    expected, faults, end = everything(), [], threading.Event()
    index.start()

    def keep_searching():
        query = catalogue.unit(0).astype(np.float32)
        while not end.is_set():
            answer = index.state().search(query, 10_000, EVERYTHING, exact=True).listing.tolist()
            if len(answer) != len(expected) or set(answer) != expected:
                faults.append(len(answer))
        connection.close()

    index.refresh()
    searchers = [threading.Thread(target=keep_searching) for _ in range(2)]
    for searcher in searchers:
        searcher.start()
    for price in (5, 6):
        Listing.objects.filter(pk__in=sorted(expected)[price::7]).update(price=price)
        compact()
    stop.release()
    assert compact().actions == ("merged",)
    snapshot = IndexSnapshot.objects.last().pk
    for _ in range(200):
        if index.state().snapshot_id == snapshot:
            break
        end.wait(0.02)
    end.set()
    for searcher in searchers:
        searcher.join()
    index.stop()
    assert index.state().snapshot_id == snapshot
    assert faults == []


def test_each_line_has_a_merge_of_its_own(model, early_stop):
    other = EmbeddingModel.objects.create(
        version="m2", arch="fake", dim=8, checkpoint="m2", sha256="1" * 64, state="standby"
    )
    for number in range(4):
        catalogue.add_many(model, 20, start=number * 20)
        catalogue.embed_all(other)
        compact()
    for _ in range(3):
        catalogue.add_many(model, 20, start=900)
        catalogue.embed_all(other)
        compact()
    assert sorted(own_compactor.get().merges) == [model.pk, other.pk]
    early_stop.go.set()
    wait_for_merges()
    assert compact().actions.count("merged") == 2
    assert verify() == []
