"""The columns alone: to add fields SQLite would write the table anew, and lose the triggers of the change feed."""

from django.db import migrations

from listings.words import WordsField, fold_words

BATCH = 1000


def fill_words(apps, schema_editor):
    """Row by row in batches by id, so that a site of a million listings needs no more memory than one of a thousand."""
    listings = apps.get_model("listings", "Listing").objects.using(schema_editor.connection.alias)
    statement = "UPDATE listings_listing SET title_words = %s, description_words = %s WHERE id = %s"
    last = 0
    while rows := list(listings.filter(pk__gt=last).order_by("pk").values_list("title", "description", "pk")[:BATCH]):
        values = [(fold_words(title), fold_words(description), pk) for title, description, pk in rows]
        with schema_editor.connection.cursor() as cursor:
            cursor.executemany(statement, values)
        last = rows[-1][-1]


class Migration(migrations.Migration):
    dependencies = [("listings", "0002_imported_photos")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField("listing", field.source + "_words", field)
                for field in (WordsField("title"), WordsField("description"))
            ],
            database_operations=[
                migrations.RunSQL(
                    f"ALTER TABLE listings_listing ADD COLUMN {name} text NOT NULL DEFAULT ''",
                    f"ALTER TABLE listings_listing DROP COLUMN {name}",
                )
                for name in ("title_words", "description_words")
            ],
        ),
        migrations.RunPython(fill_words, migrations.RunPython.noop, elidable=True),
    ]
