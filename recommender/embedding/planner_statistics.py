"""The first statistics of PostgreSQL's planner.

Without any it assumes that one row in 200 is of a given model, and joins by nested loops. Autovacuum gathers them once
a minute; until then, during a first import, the time of each look for missing queue rows grows with the square of the
photos: two seconds at 12,000.
"""

from __future__ import annotations

import logging

from django.db import DatabaseError, connection

from listings.models import Listing, ListingImage
from recommender.models import Embedding, IndexChange

logger = logging.getLogger(__name__)

TABLES = [model._meta.db_table for model in (Listing, ListingImage, Embedding, IndexChange)]  # noqa: SLF001 - Django documents `_meta` as public
# A table of fewer rows is read quickly by any plan. Statistics that are gathered at this size serve for a larger table
# too, because the planner scales them as it grows.
ENOUGH_ROWS = 500

UNKNOWN = """
    SELECT relname FROM pg_stat_user_tables
    WHERE relid = ANY(%s::regclass[]) AND last_analyze IS NULL AND last_autoanalyze IS NULL AND n_live_tup >= %s
"""


def analyze_unanalyzed_tables() -> list[str]:
    """Analyse the tables that nobody has analysed since they were filled. Returns their names.

    A table that somebody has locked is skipped.
    """
    if connection.vendor != "postgresql":
        return []
    try:
        with connection.cursor() as cursor:
            cursor.execute(UNKNOWN, [TABLES, ENOUGH_ROWS])
            names = [name for (name,) in cursor.fetchall()]
            for name in names:
                cursor.execute(f"ANALYZE (SKIP_LOCKED) {connection.ops.quote_name(name)}")
    except DatabaseError as exc:
        logger.warning("PostgreSQL has no statistics yet, and could not be made to gather them: %s", exc)
        return []
    return names
