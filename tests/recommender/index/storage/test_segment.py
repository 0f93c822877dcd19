"""A segment is born whole, says how it was tuned, and is refused where a byte looked at is not what was written."""

import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from recommender.index.ann.ivf import FILES
from recommender.index.ann.probing import Tuning
from recommender.index.errors import SnapshotDamaged
from recommender.index.rows.row_bitmap import RowBitmap
from recommender.index.storage import segment
from recommender.index.storage.segment import MANIFEST, VECTORS, find_damaged_files, open_segment, read_manifest
from tests.recommender.index.segments import DIM, clustered, everything, flip, plain_columns, write
from tests.recommender.index.small_disk import small_disk

ROWS = 10_500  # a few more than are searched without an inverted file
PLACES, PLACE_BYTES = 4, 64


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A segment with an inverted file."""
    directory = tmp_path_factory.mktemp("large") / "s"
    write(directory, clustered(ROWS))
    return directory


@pytest.fixture
def sampled(monkeypatch, tmp_path):
    """A segment whose vectors are checked at places when it is opened, and the first byte of each place."""
    monkeypatch.setattr(segment, "READ_WHOLE_BELOW", 50_000)
    monkeypatch.setattr(segment, "SAMPLED_PLACES", PLACES)
    monkeypatch.setattr(segment, "PLACE_BYTES", PLACE_BYTES)
    vectors = clustered(1_000)
    write(tmp_path / "s", vectors)
    return tmp_path / "s", np.linspace(0, vectors.nbytes - PLACE_BYTES, PLACES).astype(int).tolist()


def test_a_manifest_records_the_recall_the_curve_and_the_tuning(large):
    manifest = read_manifest(large)
    structure = manifest["structure"]
    assert (manifest["rows"], manifest["listings"], manifest["dim"], manifest["model"]) == (ROWS, ROWS, DIM, "m1")
    assert structure["kind"] == "ivf"
    assert 0.98 <= manifest["recall"] <= 1
    assert 0.98 <= manifest["filtered_recall"] <= 1
    chosen = {name: structure["tuning"][name] for name in ("plain", "filtered")}
    measured = {
        name: [tried for tried in structure["curve"] if tried["rows"] == rows and chosen[name].items() <= tried.items()]
        for name, rows in (("plain", "all"), ("filtered", "far half"))
    }
    assert measured["plain"][-1]["recall"] == pytest.approx(manifest["recall"], abs=1e-4)
    assert measured["filtered"][-1]["recall"] == pytest.approx(manifest["filtered_recall"], abs=1e-4)
    assert set(manifest["files"]) == {path.name for path in large.iterdir()} - {MANIFEST}


def test_what_was_written_is_opened(large):
    opened = open_segment(large, "m1")
    assert np.array_equal(opened.vectors, clustered(ROWS))
    assert np.array_equal(opened.columns.listing, np.arange(ROWS))
    assert opened.tuning == Tuning.from_dict(read_manifest(large)["structure"]["tuning"])
    assert (len(opened), opened.listings, opened.recall) == (ROWS, ROWS, read_manifest(large)["recall"])


def test_a_small_segment_has_no_inverted_file_and_is_compared_whole(tmp_path):
    vectors = clustered(500)
    manifest = write(tmp_path / "s", vectors)
    opened = open_segment(tmp_path / "s", "m1")
    assert (manifest["structure"], manifest["recall"]) == ({"kind": "exact"}, 1)
    assert opened.ivf is None
    similarity, rows, step = opened.find_nearest_rows(vectors[7], 10, everything(500))
    assert np.array_equal(rows, np.argsort(-(vectors.astype(float) @ vectors[7].astype(float)))[:10])
    assert similarity[0] == pytest.approx(1, abs=1e-3)
    assert vars(step) == {"how": "exact", "selected": 500, "compared": 500, "lists": 0}


def test_an_untrained_segment_is_compared_whole_and_says_that_this_is_not_for_good(tmp_path):
    vectors = clustered(ROWS)
    manifest = write(tmp_path / "s", vectors, train=False)
    assert manifest["structure"] == {"kind": "exact", "untrained": True}
    opened = open_segment(tmp_path / "s", "m1")
    assert (opened.ivf, opened.untrained) == (None, True)
    assert opened.find_nearest_rows(vectors[7], 3, everything(ROWS))[1][0] == 7
    few = write(tmp_path / "few", vectors[:50], train=False)
    assert few["structure"] == {"kind": "exact"}
    assert not open_segment(tmp_path / "few", "m1").untrained


def test_a_segment_of_no_rows_finds_nothing(tmp_path):
    assert write(tmp_path / "s", np.empty((0, DIM), np.float16))["rows"] == 0
    opened = open_segment(tmp_path / "s", "m1")
    similarity, rows, _ = opened.find_nearest_rows(clustered(1)[0], 10, everything(0))
    assert len(opened) == len(similarity) == len(rows) == 0


def test_pages_make_the_same_files_as_one_page(tmp_path):
    vectors, columns = clustered(900), plain_columns(900)
    whole = write(tmp_path / "whole", vectors)
    parts = np.array_split(np.arange(900), 7)
    pages = ((columns.select_rows(part), vectors[part]) for part in parts)
    assert segment.write_segment(tmp_path / "paged", pages, expected=5, dim=DIM, model="m1") == whole


def test_a_segment_of_another_model_is_refused(large):
    with pytest.raises(SnapshotDamaged, match="holds vectors of m1, not of m2"):
        open_segment(large, "m2")


def test_the_step_between_pages_is_told(tmp_path):
    told = []
    pages = [(plain_columns(10), clustered(10))] * 3
    segment.write_segment(tmp_path / "s", pages, expected=30, dim=DIM, model="m1", tick=lambda: told.append(1))
    assert len(told) >= 3


def test_a_stream_that_breaks_leaves_nothing_behind(tmp_path):
    def pages():
        yield plain_columns(10), clustered(10)
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError, match="went away"):
        segment.write_segment(tmp_path / "s", pages(), expected=20, dim=DIM, model="m1")
    assert list(tmp_path.iterdir()) == []


# Vectors take 657 KB, columns 722 KB more, codes and the rest of the inverted file about 300 KB more.
@pytest.mark.parametrize("kilobytes", [500, 1_000, 1_480])
def test_a_full_disk_is_an_error_and_leaves_nothing_behind(tmp_path, kilobytes):
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        with pytest.raises(OSError, match=r"No space left|requested and"):
            write(disk.root / "s", clustered(ROWS))
        assert list(disk.root.iterdir()) == []


@pytest.mark.parametrize("name", [VECTORS, "price.npy", "status.npy", *FILES])
def test_an_altered_or_missing_file_is_found_when_a_segment_is_opened(large, tmp_path, name):
    directory = shutil.copytree(large, tmp_path / "s")
    flip(directory / name, (directory / name).stat().st_size // 2)
    with pytest.raises(SnapshotDamaged, match=f"{name} is missing or altered"):
        open_segment(directory, "m1")
    assert find_damaged_files(directory, read_manifest(directory)) == [name]
    (directory / name).unlink()
    with pytest.raises(SnapshotDamaged, match=f"{name} is missing or altered"):
        open_segment(directory, "m1")
    assert find_damaged_files(directory, read_manifest(directory)) == [name]


def test_a_manifest_without_its_tuning_is_refused(large, tmp_path):
    directory = shutil.copytree(large, tmp_path / "s")
    manifest = read_manifest(directory)
    del manifest["structure"]["tuning"]["costs"]
    (directory / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(SnapshotDamaged, match="cannot be opened"):
        open_segment(directory, "m1")


def test_only_large_files_are_checked_at_places(sampled):
    directory, _ = sampled
    assert set(read_manifest(directory)["places"]) == {VECTORS}
    assert len(open_segment(directory, "m1")) == 1_000


@pytest.mark.parametrize("number", range(PLACES))
@pytest.mark.parametrize("within", [0, PLACE_BYTES - 1])
def test_an_altered_place_of_a_large_file_is_found_when_it_is_opened(sampled, number, within):
    directory, places = sampled
    flip(directory / VECTORS, places[number] + within)
    with pytest.raises(SnapshotDamaged, match="altered"):
        open_segment(directory, "m1")


@pytest.mark.parametrize("change", [-2, 2])
def test_a_large_file_of_another_size_is_found_when_it_is_opened(sampled, change):
    directory, _ = sampled
    os.truncate(directory / VECTORS, (directory / VECTORS).stat().st_size + change)
    with pytest.raises(SnapshotDamaged, match="altered"):
        open_segment(directory, "m1")


def test_what_lies_between_the_places_is_found_by_the_check_that_reads_all(sampled):
    directory, places = sampled
    flip(directory / VECTORS, (places[0] + places[1]) // 2)
    assert len(open_segment(directory, "m1")) == 1_000
    assert find_damaged_files(directory, read_manifest(directory)) == [VECTORS]


@profile(deadline=None, max_examples=60)
@given(st.data())
def test_any_altered_byte_is_found_by_the_check_that_reads_all(large, data):
    manifest = read_manifest(large)
    name = data.draw(st.sampled_from(sorted(manifest["files"])))
    place = data.draw(st.integers(0, (large / name).stat().st_size - 1))
    assert find_damaged_files(large, {"files": {name: manifest["files"][name]}}) == []
    flip(large / name, place)
    try:
        assert find_damaged_files(large, {"files": {name: manifest["files"][name]}}) == [name]
    finally:
        flip(large / name, place)


def one_vector_again_and_again():
    return np.repeat(clustered(1), ROWS, axis=0)


def directions_without_any_order():
    vectors = np.random.default_rng(3).standard_normal((ROWS, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize("make", [one_vector_again_and_again, directions_without_any_order])
def test_vectors_without_clusters_are_stored_and_searched(tmp_path, make):
    vectors = make()
    assert write(tmp_path / "s", vectors)["recall"] >= 0.98
    opened = open_segment(tmp_path / "s", "m1")
    some = RowBitmap(np.arange(ROWS) % 3 == 0)
    for k in (1, 10, 400):
        for selection in (everything(ROWS), some):
            similarity, rows, _ = opened.find_nearest_rows(vectors[6], k, selection)
            assert len(similarity) == len(np.unique(rows)) == k
            assert selection.mask[rows].all()
            assert similarity[0] == pytest.approx(1, abs=1e-3)
