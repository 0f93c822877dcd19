"""The first statistics of PostgreSQL's planner, which takes a table that was never analysed for a nearly empty one.

Autovacuum looks once a minute. Until then, a first import makes each look for missing queue rows quadratic: two seconds
at 12,000 photos.
"""

from __future__ import annotations

from django.db import connection

from listings.models import Listing, ListingImage

from .models import Embedding, IndexChange

TABLES = [model._meta.db_table for model in (Listing, ListingImage, Embedding, IndexChange)]  # noqa: SLF001 - documented
ENOUGH_ROWS = 500  # fewer are read quickly by any plan; from so many on, estimates grow with the table

UNKNOWN = """
    SELECT relname FROM pg_stat_user_tables
    WHERE relname = ANY(%s) AND last_analyze IS NULL AND last_autoanalyze IS NULL AND n_live_tup >= %s
"""


def gather_first() -> list[str]:
    """Analyse tables that nobody has analysed since they were filled; their names."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(UNKNOWN, [TABLES, ENOUGH_ROWS])
        names = [name for (name,) in cursor.fetchall()]
        for name in names:
            cursor.execute(f"ANALYZE {connection.ops.quote_name(name)}")
    return names
