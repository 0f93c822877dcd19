"""The triggers on listings that write the change feed, for migrations that watch other columns than 0002 does.

Such a migration lists them all, because a migration keeps its meaning when the code moves on:

    class Migration(migrations.Migration):
        dependencies = [("recommender", "…"), ("listings", "…")]
        operations = [watch_listings(("seller_id", …, "featured"), before=("seller_id", …))]

It depends on the migration of `listings` that adds the column. That one may rebuild the table on SQLite, which drops
both triggers, so both are made again.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

POSTGRESQL = (
    """
    CREATE TRIGGER recommender_listing_update AFTER UPDATE ON listings_listing FOR EACH ROW
    WHEN ({changed}) EXECUTE FUNCTION recommender_listing_changed()
    """,
    """
    CREATE TRIGGER recommender_listing_delete AFTER DELETE ON listings_listing FOR EACH ROW
    EXECUTE FUNCTION recommender_listing_changed()
    """,
)

SQLITE = (
    """
    CREATE TRIGGER recommender_listing_update AFTER UPDATE ON listings_listing FOR EACH ROW
    WHEN {changed}
    BEGIN INSERT INTO recommender_indexchange (listing_id) VALUES (OLD.id); END
    """,
    """
    CREATE TRIGGER recommender_listing_delete AFTER DELETE ON listings_listing FOR EACH ROW
    BEGIN INSERT INTO recommender_indexchange (listing_id) VALUES (OLD.id); END
    """,
)


def watch_listings(columns: Sequence[str], before: Sequence[str]) -> migrations.RunPython:
    """The operation after which a change of any of these columns writes the feed, where before it was of those."""
    return migrations.RunPython(
        lambda apps, schema_editor: recreate_triggers(schema_editor, columns),
        lambda apps, schema_editor: recreate_triggers(schema_editor, before),
    )


def recreate_triggers(schema_editor: BaseDatabaseSchemaEditor, columns: Sequence[str]) -> None:
    """Make both triggers, in place of those that are there."""
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    for name in ("recommender_listing_update", "recommender_listing_delete"):
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}" + " ON listings_listing" * on_postgresql, params=None)
    differs = "IS DISTINCT FROM" if on_postgresql else "IS NOT"
    changed = changed_condition(columns, differs)
    for statement in POSTGRESQL if on_postgresql else SQLITE:
        schema_editor.execute(statement.format(changed=changed), params=None)


def changed_condition(columns: Sequence[str], differs: str) -> str:
    """The condition that a row's old and new values differ, in a database's own words for it."""
    return " OR ".join(f"OLD.{column} {differs} NEW.{column}" for column in columns)
