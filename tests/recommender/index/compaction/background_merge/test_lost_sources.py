"""Merges whose sources die, are replaced or are deleted while they are read."""

import pytest

from listings.models import Listing
from recommender.index.compaction.compactor import Compactor, compact, rebuild
from recommender.index.compaction.verify import verify
from recommender.models import IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.compaction.merges import BATCH, begin_a_merge, running_merges, the_merge
from tests.recommender.index.served import everything, found, segment_names


def directories(index_root):
    return sorted(path.name for path in (index_root / "segments").iterdir())


def test_rows_that_all_died_during_a_merge_stay_dead(model, index, early_stop):
    """One source is left without a live row, so that the snapshot no longer names it."""
    begin_a_merge(model, early_stop)
    for listing in Listing.objects.order_by("pk")[:BATCH]:
        listing.delete()
    assert compact().actions == ("flushed",)
    early_stop.release()
    compact(force=True)
    assert found(index, exact=True) == everything()
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
    assert running_merges() == {}
    catalogue.add_many(model, 3, start=9_000)
    assert compact().actions == ("flushed",)
    assert found(index, exact=True) == everything()
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
    assert found(index, exact=True) == everything()
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
    assert gone.isdisjoint(segment_names())
    assert set(merging).isdisjoint(segment_names())
    assert found(index, exact=True) == everything()
    assert verify() == []
