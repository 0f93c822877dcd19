"""Which fields of listings the trigger that writes the change feed watches, as the database tells it."""

import re

from django.db import connection

from listings.finding.filterable import COLUMNS

SQLITE = "SELECT sql FROM sqlite_master WHERE name = 'recommender_listing_update'"
POSTGRESQL = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'recommender_listing_update'"


def watched_columns() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(POSTGRESQL if connection.vendor == "postgresql" else SQLITE)
        ((definition,),) = cursor.fetchall()
    return set(re.findall(r'\bold\."?(\w+)', definition.split("BEGIN")[0], re.IGNORECASE))


def unwatched_columns() -> list[str]:
    """What the index would go on holding after a change: the declared columns of which a source is not watched."""
    watched = watched_columns()
    return [name for name, column in COLUMNS.items() if not set(column.sources) <= watched]
