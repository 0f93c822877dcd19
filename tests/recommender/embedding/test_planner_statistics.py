from __future__ import annotations

import pytest
from django.db import connection

from recommender.embedding import planner_statistics, sweep
from recommender.embedding.planner_statistics import ENOUGH_ROWS, TABLES
from tests.recommender.queue_rows import bulk_photos, make_model

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _never_analysed():
    with connection.cursor() as cursor:
        for name in TABLES:
            cursor.execute("SELECT pg_stat_reset_single_table_counters(%s::regclass)", [name])


def fill(photos: int) -> None:
    make_model()
    bulk_photos(photos)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL plans by statistics")
@pytest.mark.usefixtures("_never_analysed")
@pytest.mark.parametrize(("photos", "analysed"), [(ENOUGH_ROWS + 100, True), (ENOUGH_ROWS - 100, False)])
def test_a_sweep_analyses_what_a_first_import_filled_once(photos, analysed):
    fill(photos)
    sweep.sweep_queue()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, last_analyze, last_autoanalyze FROM pg_stat_user_tables WHERE relname = ANY(%s)", [TABLES]
        )
        rows = cursor.fetchall()
    by_hand = {name for name, manually, _ in rows if manually}
    by_anybody = by_hand | {name for name, _, automatically in rows if automatically}  # autovacuum may be first
    if analysed:
        assert by_anybody >= {"listings_listingimage", "recommender_embedding"}
    else:
        assert by_hand == set()
    assert planner_statistics.analyze_unanalyzed_tables() == []


@pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite")
def test_sqlite_is_not_asked():
    assert planner_statistics.analyze_unanalyzed_tables() == []
