"""Every merge of these tests is a long one, and stops where a test wants it to."""

import pytest

from recommender.index.ann import choose_structure
from recommender.index.compaction import merge_runner
from recommender.index.storage import segment
from tests.recommender.index.compaction.merges import BATCH, Stop, wait_for_merges


@pytest.fixture(autouse=True)
def long_merges(settings, monkeypatch):
    """Every merge is a long one, every merged segment an inverted file, every change a reason to flush."""
    settings.INDEX_FLUSH_ROWS = 1
    settings.INDEX_EXACT_ROWS = 3 * BATCH
    settings.INDEX_RECALL_TARGET = 0.0
    monkeypatch.setattr(merge_runner, "FOREGROUND_MERGE_ROWS", 0)
    yield
    wait_for_merges()


PLACES = {
    "before anything is read": (segment, "write_segment"),
    "after every row is read": (choose_structure, "build_search_structure"),
}


@pytest.fixture(params=PLACES)
def stop(request, monkeypatch):
    stop = Stop(monkeypatch, *PLACES[request.param])
    yield stop
    stop.go.set()


@pytest.fixture
def early_stop(monkeypatch):
    stop = Stop(monkeypatch, segment, "write_segment")
    yield stop
    stop.go.set()
