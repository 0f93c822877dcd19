"""The columns alone: to add fields SQLite would write the table anew, and lose the triggers of the change feed."""

from django.db import migrations

from listings.finding.words import WordsField


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
    ]
