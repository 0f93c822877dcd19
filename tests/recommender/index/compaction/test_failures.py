"""Flushes and merges that fail leave no half-written files, and cost no more than themselves."""

import pytest

from listings.models import Listing
from recommender.index.compaction.compactor import compact
from recommender.index.compaction.lineage_compactor import LineageCompactor
from recommender.index.compaction.verify import verify
from recommender.index.errors import SnapshotDamaged
from recommender.index.rows.vector_file import VectorFile
from recommender.index.storage import segment, snapshot
from recommender.models import EmbeddingModel
from tests.recommender.index import catalogue
from tests.recommender.index.served import listed


def test_a_full_disk_leaves_no_half_segment_and_the_worker_alive(model, index, settings, monkeypatch, caplog):
    catalogue.add_many(model, 5)

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segment, "write_and_sync_file", full)
    assert compact(force=True).actions == ("failed",)
    assert "No space left" in caplog.text
    assert list((settings.INDEX_ROOT / "segments").iterdir()) == []
    monkeypatch.undo()
    settings.INDEX_ROOT.mkdir(exist_ok=True)
    assert compact(force=True).actions == ("flushed",)


def test_a_snapshot_that_cannot_be_written_leaves_no_segment_behind(model, index_root, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "write_and_sync_file", full)
    for number in range(3):
        catalogue.add_many(model, 5, start=number * 5)
        assert compact(force=True).actions == ("failed",)
    assert list((index_root / "segments").iterdir()) == []


def test_a_flush_that_cannot_be_opened_again_leaves_nothing_behind(model, index_root, monkeypatch):
    def damaged(directory, version):
        raise SnapshotDamaged(f"{directory} is missing or altered")

    monkeypatch.setattr(segment, "open_segment", damaged)
    catalogue.add_many(model, 5)
    for _ in range(2):
        assert compact(force=True).actions == ("failed",)
        assert list((index_root / "segments").iterdir()) == []
    monkeypatch.undo()
    assert compact(force=True).actions == ("flushed",)


def test_what_ails_one_models_lineage_stops_no_others(model, monkeypatch, caplog):
    EmbeddingModel.objects.create(version="m2", arch="fake", dim=16, checkpoint="m2", sha256="1" * 64, state="standby")
    asked = []

    def ails(one, lease, *, force):
        asked.append(one.model.version)
        raise SnapshotDamaged(f"the files of {one.model.version}")

    monkeypatch.setattr(LineageCompactor, "compact", ails)
    assert compact().actions == ("failed", "failed")
    assert sorted(asked) == ["m1", "m2"]
    assert "the files of m2" in caplog.text


@pytest.mark.parametrize("error", [SnapshotDamaged("bad bytes"), ValueError("a fault"), MemoryError()])
def test_a_merge_that_fails_costs_nothing_but_itself(model, index, index_root, monkeypatch, error):
    for number in range(3):
        catalogue.add_many(model, 10, start=number * 10)
        compact(force=True)
    catalogue.add_many(model, 10, start=100)

    def fail(*args):
        raise error

    place = (segment, "open_segment") if isinstance(error, SnapshotDamaged) else (VectorFile, "read_range")
    real = segment.open_segment

    def load(directory, version):
        return fail() if segment.read_manifest(directory)["rows"] == 40 else real(directory, version)

    monkeypatch.setattr(*place, load if place[0] is segment else fail)
    assert compact(force=True).actions == ("flushed", "failed")
    assert len(list((index_root / "segments").iterdir())) == 4
    monkeypatch.undo()
    assert compact(force=True).actions == ("merged",)
    assert listed(index) == sorted(Listing.objects.values_list("pk", flat=True))
    assert verify() == []
