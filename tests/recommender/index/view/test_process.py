"""What a process tells of its index: what it holds, how far it is behind, what is wrong."""

import json

import pytest

from listings.models import Listing
from recommender.index import measure_lag, report_health
from recommender.index.compaction.compactor import compact
from recommender.index.storage.segment import MANIFEST
from recommender.index.storage.snapshot import segment_directory, snapshot_directory
from recommender.index.view import process
from recommender.index.view.process import Lag
from recommender.models import IndexHead
from tests.recommender.index import catalogue


def test_health_says_what_is_held_and_how_far_the_database_has_gone(model, fresh_index):
    catalogue.add_many(model, 5)
    compact(force=True)
    fresh_index.refresh()
    catalogue.add_many(model, 3)
    fresh_index.refresh()
    told, behind = report_health(), measure_lag()
    assert (told.usable, told.rows, told.delta_rows, told.segments, told.behind, told.problem) == (
        True,
        8,
        3,
        1,
        0,
        None,
    )
    assert behind.position_lag == 0
    assert 0 <= behind.snapshot_age_s < 60
    catalogue.add_many(model, 2)
    assert measure_lag().position_lag >= 2  # nothing refreshed since


def test_without_a_state_health_says_why_and_there_is_no_lag(fresh_index, settings):
    settings.INDEX_REFRESH_MS = 20
    told = report_health()
    assert (told.usable, told.delta_rows, told.segments) == (False, 0, 0)
    assert "no embedding model is active" in told.problem
    assert measure_lag() == Lag(snapshot_age_s=None, position_lag=None)


def test_the_empty_snapshot_has_no_age(model, fresh_index):
    fresh_index.refresh()
    assert measure_lag() == Lag(snapshot_age_s=None, position_lag=0)


def let_time_pass(seconds):
    """As if the rows that are dead in the served snapshot had died so much earlier."""
    path = snapshot_directory(IndexHead.load().snapshot.directory) / "manifest.json"
    manifest = json.loads(path.read_text())
    for entry in manifest["segments"]:
        entry["dead_since"] -= seconds
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("days", "hours", "late"), [(7, 7 * 24, False), (7, 7 * 24 + 2, True), (0, 0.5, False), (0, 2, True)]
)
def test_vectors_of_deleted_photos_that_outstay_their_time_are_a_problem(
    model, fresh_index, settings, days, hours, late
):
    catalogue.add_many(model, 5)
    compact(force=True)
    Listing.objects.first().delete()
    compact(force=True)
    settings.PURGE_DAYS = days
    fresh_index.refresh()
    assert report_health().problem is None
    let_time_pass(hours * 3_600)
    process.own_index.forget()
    problem = report_health().problem
    assert bool(problem) is late
    if late:
        assert f"in the index files for {hours / 24:.1f} days, PURGE_DAYS is {days}" in problem


@pytest.mark.parametrize(("measured", "told"), [(0.98, False), (0.95, True)])
def test_rows_that_a_filter_hides_more_often_than_the_target_says_are_a_problem(model, fresh_index, measured, told):
    catalogue.add_many(model, 5)
    compact(force=True)
    (entry,) = IndexHead.load().snapshot.segments
    path = segment_directory(entry["name"]) / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"filtered_recall": measured}))
    fresh_index.refresh()
    problem = report_health().problem
    assert bool(problem) is told
    if told:
        assert "a filter that leaves nothing near find 95.0%" in problem
        assert "(the target is 98.0%)" in problem
