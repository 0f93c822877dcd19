"""Every change of a listing or photo writes its feed row, and every new photo its queue rows, in the same statement.

Signals miss `update()`, bulk calls and raw SQL; triggers do not. On PostgreSQL a feed row carries its transaction id:
readers ask which rows became visible since their last snapshot, so writers need no lock and no commit order.
"""

from django.db import migrations

LISTING_COLUMNS = ("seller_id", "price", "category_id", "latitude", "longitude", "status", "created_at")
PHOTO_COLUMNS = ("listing_id", "state")


def changed(columns: tuple[str, ...], differs: str) -> str:
    return " OR ".join(f"OLD.{column} {differs} NEW.{column}" for column in columns)


QUEUE_ROWS = """
    INSERT INTO recommender_embedding
        (image_id, model_id, state, lane, attempts, reason, created_at, updated_at)
    SELECT NEW.id, model.id, 'pending', CASE NEW.source WHEN 'import' THEN 2 ELSE 0 END, 0, '', {now}, {now}
    FROM recommender_embeddingmodel model
    WHERE model.state IN ('backfilling', 'active', 'standby') AND NEW.state <> 'rejected'
    ON CONFLICT DO NOTHING;
"""

POSTGRESQL = [
    "ALTER TABLE recommender_indexchange ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id()",
    "CREATE INDEX indexchange_xid ON recommender_indexchange (xid)",
    # 2,000-byte vectors would sit inside the hot row; push them out of line, uncompressed (they do not compress).
    "ALTER TABLE recommender_embedding ALTER COLUMN vector SET STORAGE EXTERNAL",
    "ALTER TABLE recommender_embedding SET (toast_tuple_target = 256, autovacuum_vacuum_scale_factor = 0.02)",
    """
    CREATE FUNCTION recommender_listing_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO recommender_indexchange (listing_id) VALUES (OLD.id);
        RETURN NULL;
    END $$
    """,
    f"""
    CREATE TRIGGER recommender_listing_update AFTER UPDATE ON listings_listing FOR EACH ROW
    WHEN ({changed(LISTING_COLUMNS, "IS DISTINCT FROM")}) EXECUTE FUNCTION recommender_listing_changed()
    """,
    """
    CREATE TRIGGER recommender_listing_delete AFTER DELETE ON listings_listing FOR EACH ROW
    EXECUTE FUNCTION recommender_listing_changed()
    """,
    """
    CREATE FUNCTION recommender_photo_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO recommender_indexchange (listing_id) VALUES (OLD.listing_id);
        IF TG_OP = 'UPDATE' AND NEW.listing_id <> OLD.listing_id THEN
            INSERT INTO recommender_indexchange (listing_id) VALUES (NEW.listing_id);
        END IF;
        RETURN NULL;
    END $$
    """,
    f"""
    CREATE TRIGGER recommender_photo_update AFTER UPDATE ON listings_listingimage FOR EACH ROW
    WHEN ({changed(PHOTO_COLUMNS, "IS DISTINCT FROM")}) EXECUTE FUNCTION recommender_photo_changed()
    """,
    """
    CREATE TRIGGER recommender_photo_delete AFTER DELETE ON listings_listingimage FOR EACH ROW
    EXECUTE FUNCTION recommender_photo_changed()
    """,
    f"""
    CREATE FUNCTION recommender_photo_added() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        {QUEUE_ROWS.format(now="statement_timestamp()")}
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER recommender_photo_insert AFTER INSERT ON listings_listingimage FOR EACH ROW
    EXECUTE FUNCTION recommender_photo_added()
    """,
]

POSTGRESQL_REVERSE = [
    "DROP FUNCTION recommender_photo_added() CASCADE",
    "DROP FUNCTION recommender_photo_changed() CASCADE",
    "DROP FUNCTION recommender_listing_changed() CASCADE",
    "ALTER TABLE recommender_indexchange DROP COLUMN xid",
]

SQLITE = [
    f"""
    CREATE TRIGGER recommender_listing_update AFTER UPDATE ON listings_listing FOR EACH ROW
    WHEN {changed(LISTING_COLUMNS, "IS NOT")}
    BEGIN INSERT INTO recommender_indexchange (listing_id) VALUES (OLD.id); END
    """,
    """
    CREATE TRIGGER recommender_listing_delete AFTER DELETE ON listings_listing FOR EACH ROW
    BEGIN INSERT INTO recommender_indexchange (listing_id) VALUES (OLD.id); END
    """,
    f"""
    CREATE TRIGGER recommender_photo_update AFTER UPDATE ON listings_listingimage FOR EACH ROW
    WHEN {changed(PHOTO_COLUMNS, "IS NOT")}
    BEGIN
        INSERT INTO recommender_indexchange (listing_id)
        SELECT OLD.listing_id UNION SELECT NEW.listing_id;
    END
    """,
    """
    CREATE TRIGGER recommender_photo_delete AFTER DELETE ON listings_listingimage FOR EACH ROW
    BEGIN INSERT INTO recommender_indexchange (listing_id) VALUES (OLD.listing_id); END
    """,
    f"""
    CREATE TRIGGER recommender_photo_insert AFTER INSERT ON listings_listingimage FOR EACH ROW
    BEGIN {QUEUE_ROWS.format(now="strftime('%Y-%m-%d %H:%M:%f', 'now')")} END
    """,
]

TRIGGERS = ("listing_update", "listing_delete", "photo_update", "photo_delete", "photo_insert")


def create(apps, schema_editor):
    statements = POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE
    for statement in statements:
        schema_editor.execute(statement, params=None)


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        statements = POSTGRESQL_REVERSE
    else:
        statements = [f"DROP TRIGGER recommender_{name}" for name in TRIGGERS]
    for statement in statements:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("recommender", "0001_initial"), ("listings", "0001_initial")]

    operations = [migrations.RunPython(create, drop)]
