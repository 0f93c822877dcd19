"""Few rows are compared whole; many get an inverted file, unless it misses the recall target."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from recommender.index.ann import calibration, choose_structure, ivf
from recommender.index.ann.probing import Tuning
from recommender.index.errors import LeaseLost
from recommender.index.rows.vector_file import VectorFile
from tests.recommender.index.segments import clustered, put

ROWS, DIM = 3_000, 32


@pytest.fixture
def file(tmp_path):
    put(tmp_path, clustered(ROWS, DIM))
    return VectorFile(tmp_path / "v", ROWS, DIM)


@pytest.fixture(autouse=True)
def thousands_are_many(settings):
    settings.INDEX_EXACT_ROWS = ROWS


def build(file, tick=lambda: None):
    return choose_structure.build_search_structure(file.path.parent, file, tick)


def names(file):
    return sorted(path.name for path in file.path.parent.iterdir())


def test_fewer_rows_than_the_setting_are_compared_whole(file, settings):
    settings.INDEX_EXACT_ROWS = ROWS + 1
    structure = build(file)
    assert (structure.kind, structure.recall, structure.details) == ("exact", 1, None)
    assert names(file) == ["v"]


def test_as_many_rows_as_the_setting_get_an_inverted_file(file, settings):
    told = []
    structure = build(file, lambda: told.append(1))
    assert structure.kind == "ivf"
    assert settings.INDEX_RECALL_TARGET <= structure.recall <= 1
    assert structure.details["lists"] == choose_structure.choose_list_count(ROWS)
    assert names(file) == sorted(["v", *ivf.FILES])
    assert ivf.open_ivf(file.path.parent, ROWS, DIM).list_count == choose_structure.choose_list_count(ROWS)
    assert isinstance(Tuning.from_dict(structure.details["tuning"]), Tuning)
    assert len(told) > ivf.KMEANS_ITERATIONS


def test_an_inverted_file_that_misses_the_recall_target_is_removed_and_the_log_says_so(file, settings, caplog):
    settings.INDEX_RECALL_TARGET = 1.01
    structure = build(file)
    assert (structure.kind, structure.recall, structure.details) == ("exact", 1, None)
    assert names(file) == ["v"]
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert f"an inverted file of {ROWS} rows has a recall of" in record.getMessage()
    assert "wanted is 1.0100: they are searched exactly" in record.getMessage()


def test_the_queries_that_measure_it_are_not_in_the_training_sample(file, monkeypatch):
    seen = {}
    real_build, real_calibrate = ivf.build_ivf, calibration.calibrate_ivf

    def spy_build(directory, vectors, lists, sample, *rest):
        seen["sample"] = sample
        real_build(directory, vectors, lists, sample, *rest)

    def spy_calibrate(opened, vectors, queries, **rest):
        seen["queries"] = queries
        return real_calibrate(opened, vectors, queries, **rest)

    monkeypatch.setattr(ivf, "build_ivf", spy_build)
    monkeypatch.setattr(choose_structure, "calibrate_ivf", spy_calibrate)
    structure = build(file)
    assert structure.details["trained_on"] == len(seen["sample"])
    assert len(np.unique(seen["queries"])) == calibration.QUERIES
    assert not np.isin(seen["sample"], seen["queries"]).any()


def sample_of(rows, dim, lists, left_out=()):
    unread = VectorFile(None, rows, dim)
    return choose_structure._draw_sample(unread, lists, np.array(left_out, np.int64), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("megabytes", "rows", "lists", "size"),
    [
        (2_048, 100_000, 158, 15_800),  # a hundred a list are enough
        (8, 100_000, 158, 8_192),  # a quarter of the memory, for single precision twice
        (1, 100_000, 158, 3_160),  # but twenty a list at least
        (2_048, 3_000, 40, 3_000),  # and never more than there are
    ],
)
def test_the_training_sample_fits_into_a_quarter_of_the_memory(settings, megabytes, rows, lists, size):
    settings.INDEX_MEMORY_MB = megabytes
    sample = sample_of(rows, DIM, lists)
    assert len(sample) == size
    assert (np.diff(sample) > 0).all()
    assert sample[0] >= 0
    assert sample[-1] < rows
    if 3_160 < size < 15_800:
        assert sample.size * DIM * 4 * 2 <= megabytes * 1024 * 1024 / 4


@pytest.mark.parametrize("rows", [400, 100_000])
def test_the_training_sample_keeps_its_size_without_the_rows_left_out(rows):
    left_out = np.arange(0, rows, rows // 200)[:200]
    sample = sample_of(rows, DIM, 30, left_out)
    assert not np.isin(sample, left_out).any()
    assert len(np.unique(sample)) == len(sample) == min(3_000, rows - 200)


def test_little_memory_makes_the_build_train_on_fewer_rows(file, settings):
    settings.INDEX_MEMORY_MB = 1
    structure = build(file)
    assert (structure.kind, structure.details["trained_on"]) == ("ivf", 1_024)


def test_lists_grow_with_the_square_root_of_the_rows_within_bounds():
    assert [choose_structure.choose_list_count(rows) for rows in (0, 100, 10_000, 1_000_000, 10**10)] == [
        1,
        5,
        50,
        500,
        1 << 15,
    ]
    assert choose_structure.choose_list_count(10**12) == 1 << 15


def test_a_lost_lease_ends_the_build_and_is_no_reason_to_compare_rows_whole(file, caplog):
    steps = iter(range(20))

    def taken_over():
        if next(steps, None) is None:
            raise LeaseLost("another compactor has taken over")

    with pytest.raises(LeaseLost):
        build(file, taken_over)
    assert not caplog.records


def test_rows_that_cannot_be_clustered_are_compared_whole_and_the_log_says_why(file, caplog):
    vectors = clustered(ROWS, DIM)
    vectors[::7] = np.nan
    put(file.path.parent, vectors)
    assert build(file) == choose_structure.Structure("exact")
    assert names(file) == ["v"]
    assert "no inverted file could be built of 3000 rows" in caplog.text


def test_a_recall_that_only_filters_miss_is_published_with_a_warning(file, monkeypatch, caplog):
    real = calibration.calibrate_ivf
    monkeypatch.setattr(
        choose_structure, "calibrate_ivf", lambda *given, **more: replace(real(*given, **more), filtered_recall=0.9)
    )
    structure = build(file)
    assert (structure.kind, structure.filtered_recall) == ("ivf", 0.9)
    assert "has a recall of 0.9000 where a filter leaves nothing near" in caplog.text
