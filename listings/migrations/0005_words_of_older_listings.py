"""Apart from the new columns: PostgreSQL locks the table until a transaction that adds one ends, even for readers."""

from django.db import migrations, transaction

from listings.finding.words import fold_words

BATCH = 1000


def fill_words(apps, schema_editor):
    """In batches by id, so that a site of a million listings needs no more memory, and waits no longer, than one of a
    thousand."""
    connection = schema_editor.connection
    listings = apps.get_model("listings", "Listing").objects.using(connection.alias)
    # A program of the older version may write a text meanwhile, which has other words than the one that was read.
    statement = (
        "UPDATE listings_listing SET title_words = %s, description_words = %s "
        "WHERE id = %s AND title = %s AND description = %s"
    )
    last = 0
    while rows := list(listings.filter(pk__gt=last).order_by("pk").values_list("pk", "title", "description")[:BATCH]):
        values = [(fold_words(title), fold_words(text), pk, title, text) for pk, title, text in rows]
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.executemany(statement, values)
        last = rows[-1][0]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("listings", "0004_longer_photo_names")]

    operations = [migrations.RunPython(fill_words, migrations.RunPython.noop, elidable=True)]
