"""Queue rows name the seller, so that sellers take turns, and who holds a leased row, so that the dead give theirs back.

The columns are added by SQL: Django would write the whole table of vectors anew on SQLite, to add one that is never
null. Rows that are there already belong to seller 0, who has a turn among the others.
"""

from django.db import migrations, models

QUEUE_ROWS = """
    INSERT INTO recommender_embedding
        (image_id, model_id, {column}state, lane, attempts, reason, created_at, updated_at)
    SELECT NEW.id, model.id, {value}'pending', CASE NEW.source WHEN 'import' THEN 2 ELSE 0 END, 0, '', {now}, {now}
    FROM recommender_embeddingmodel model
    WHERE model.state IN ('backfilling', 'active', 'standby') AND NEW.state <> 'rejected'
    ON CONFLICT DO NOTHING;
"""
SELLER = "(SELECT seller_id FROM listings_listing WHERE id = NEW.listing_id), "

POSTGRESQL = [
    """
    CREATE OR REPLACE FUNCTION recommender_photo_added() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        {insert}
        RETURN NULL;
    END $$
    """
]
SQLITE = [
    "DROP TRIGGER IF EXISTS recommender_photo_insert",
    """
    CREATE TRIGGER recommender_photo_insert AFTER INSERT ON listings_listingimage FOR EACH ROW
    BEGIN {insert} END
    """,
]
NOW = {"postgresql": "statement_timestamp()", "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')"}


def write_sellers(apps, schema_editor):
    recreate_trigger(schema_editor, column="seller_id, ", value=SELLER)


def write_no_sellers(apps, schema_editor):
    recreate_trigger(schema_editor, column="", value="")


def recreate_trigger(schema_editor, **names):
    vendor = schema_editor.connection.vendor
    insert = QUEUE_ROWS.format(now=NOW[vendor], **names)
    for statement in POSTGRESQL if vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement.format(insert=insert), params=None)


def add_column(name, declaration):
    table = "ALTER TABLE recommender_embedding"
    return migrations.RunSQL(f"{table} ADD COLUMN {name} {declaration}", f"{table} DROP COLUMN {name}")


class Migration(migrations.Migration):
    dependencies = [("recommender", "0004_drop_the_index_on_model_alone")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField(
                    "embedding", "seller_id", models.BigIntegerField(default=0, db_default=0, editable=False)
                ),
                migrations.AddField("embedding", "holder", models.BigIntegerField(null=True, editable=False)),
            ],
            database_operations=[
                add_column("seller_id", "bigint NOT NULL DEFAULT 0"),
                add_column("holder", "bigint NULL"),
            ],
        ),
        migrations.AddIndex(
            "embedding",
            models.Index(
                fields=["lane", "model", "seller_id", "id"],
                condition=models.Q(state="pending"),
                name="embedding_turns",
            ),
        ),
        migrations.RunPython(write_sellers, write_no_sellers),
    ]
