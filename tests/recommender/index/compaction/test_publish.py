"""One compactor publishes at a time; what comes late, or whose commit is lost, leaves the index whole."""

import uuid

import pytest
from django.db import OperationalError

from recommender.index.compaction import publish as publishing
from recommender.index.compaction import write_snapshots
from recommender.index.compaction.compactor import compact
from recommender.index.compaction.lease import acquire_lease
from recommender.index.compaction.publish import publish_snapshot
from recommender.index.compaction.verify import verify
from recommender.index.errors import LeaseLost
from recommender.models import IndexHead, IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.served import listed


def test_files_stay_when_a_connection_is_lost_at_the_commit_that_may_have_happened(model, index, monkeypatch):
    catalogue.add_many(model, 5)
    real = publishing.commit_snapshot

    def answer_lost(*args):
        real(*args)
        raise OperationalError("the connection was lost at the commit")

    monkeypatch.setattr(publishing, "commit_snapshot", answer_lost)
    with pytest.raises(OperationalError):
        compact(force=True)
    monkeypatch.undo()
    assert len(listed(index)) == 5
    assert index.health().problem is None
    assert compact(force=True).actions == ("nothing",)


def test_a_second_compactor_waits_its_turn_and_a_late_one_cannot_publish(model, index):
    catalogue.add_many(model, 5)
    with acquire_lease() as lease:
        assert compact(force=True).actions == ("busy",)
        IndexHead.objects.update(token=uuid.uuid4())
        index.refresh()
        with pytest.raises(LeaseLost):
            publish_snapshot(lease, index.get_state().base, parent=None)
    IndexHead.objects.update(token=None)
    assert compact(force=True).actions == ("flushed",)


def test_a_compactor_that_wakes_up_late_changes_nothing_and_leaves_no_files(model, index, monkeypatch, settings):
    catalogue.add_many(model, 5)
    real = publish_snapshot

    def stalled(lease, snapshot, parent):
        """Meanwhile the lease ran out and another compactor published."""
        monkeypatch.setattr(write_snapshots, "publish_snapshot", real)
        IndexHead.objects.update(token=None)
        assert compact(force=True).actions == ("flushed",)
        return real(lease, snapshot, parent)

    monkeypatch.setattr(write_snapshots, "publish_snapshot", stalled)
    assert compact(force=True).actions == ("superseded",)
    head = IndexHead.load()
    assert [row.pk for row in IndexSnapshot.objects.all()] == [head.snapshot_id]
    assert [path.name for path in (settings.INDEX_ROOT / "snapshots").iterdir()] == [head.snapshot.directory]
    assert verify() == []
