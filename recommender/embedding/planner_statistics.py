"""The first statistics of PostgreSQL's planner.

Without any it takes one model's rows for one in 200, and joins by nested loops. Autovacuum looks once a minute; until
then a first import makes each look for missing queue rows quadratic: two seconds at 12,000 photos.
"""

from __future__ import annotations

import logging

from django.db import DatabaseError, connection

from listings.models import Listing, ListingImage
from recommender.models import Embedding, IndexChange

logger = logging.getLogger(__name__)

TABLES = [model._meta.db_table for model in (Listing, ListingImage, Embedding, IndexChange)]  # noqa: SLF001 - documented
ENOUGH_ROWS = 500  # fewer are read quickly by any plan; from so many on, estimates grow with the table

UNKNOWN = """
    SELECT relname FROM pg_stat_user_tables
    WHERE relid = ANY(%s::regclass[]) AND last_analyze IS NULL AND last_autoanalyze IS NULL AND n_live_tup >= %s
"""


def gather_first() -> list[str]:
    """Analyse tables that nobody has analysed since they were filled, unless somebody has them locked; their names."""
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
