"""What readers see when the files they read are hidden or deleted."""

import shutil

import numpy as np
import pytest

from recommender.index import Filter, Index, find_nearest_listings
from recommender.index.compaction.compactor import compact, rebuild
from recommender.index.compaction.verify import verify
from recommender.index.storage.snapshot import segment_directory
from recommender.index.view import plan_refresh
from recommender.models import IndexHead, IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.served import everything, found, segment_names, structure_kinds


@pytest.fixture
def inverted(model, settings):
    """Two segments with an inverted file each."""
    settings.INDEX_EXACT_ROWS, settings.INDEX_RECALL_TARGET = 150, 0.0
    for start in (0, 1_000):
        catalogue.add_many(model, 200, start=start)
        compact(force=True)
    assert structure_kinds() == {"ivf"}
    return segment_names()


def answers(index):
    """What 20 searches give, some of which need every list of the inverted files."""
    state = index.get_state()
    queries = [catalogue.unit(seed, state.dim).astype(np.float32) for seed in range(20)]
    return [
        find_nearest_listings(state, query, 5 + 30 * n, Filter()).listing.tolist() for n, query in enumerate(queries)
    ]


def test_a_directory_hidden_from_one_of_two_readers_concerns_that_one_only(model, inverted, monkeypatch):
    one, other = Index(), Index()
    found(one), found(other)
    late = catalogue.add_listing(model)
    compact(force=True)
    directory = segment_directory(segment_names()[-1])
    hidden = directory.rename(directory.with_name("hidden"))
    assert late.pk in found(one)  # from the feed
    assert str(directory) in one.health().problem
    hidden.rename(directory)
    assert late.pk in found(other)
    assert other.health().problem is None
    assert other.get_state().snapshot_id == IndexHead.load().snapshot_id != one.get_state().snapshot_id
    assert answers(one) == answers(other)
    assert set(IndexSnapshot.objects.values_list("state", flat=True)) == {"published", "retired"}
    assert compact(force=True).actions == ("nothing",)
    monkeypatch.setattr(plan_refresh, "REOPEN_SECONDS", 0)
    assert found(one) == found(other) == everything()
    assert one.health().problem is None


@pytest.mark.parametrize("how", ["removed", "collected"])
def test_a_reader_whose_mapped_inverted_files_are_deleted_answers_as_before(model, inverted, settings, how):
    settings.INDEX_REFRESH_MS = 3_600_000  # it looks at the feed only when it is told to
    index = Index()
    found(index)
    before = answers(index)
    if how == "removed":
        for name in inverted:
            shutil.rmtree(segment_directory(name))
    else:
        rebuild()
        rebuild()
    assert not any(segment_directory(name).exists() for name in inverted)
    assert answers(index) == before
    if how == "removed":
        late = catalogue.add_listing(model)
        assert found(index) == everything()
        assert compact().actions == ("rebuilt",)
        assert late.pk in found(index)
    assert found(index) == everything()
    assert index.health().problem is None
    assert verify() == []
