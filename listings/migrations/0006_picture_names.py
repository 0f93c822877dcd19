"""Whoever serves a picture looks up by its name whose it is. Indexes alone: SQLite writes no table anew for them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("listings", "0005_words_of_older_listings")]

    operations = [
        migrations.AddIndex("listingimage", models.Index(fields=["clean_file"], name="image_clean_file")),
        migrations.AddIndex("listingimage", models.Index(fields=["thumb_file"], name="image_thumb_file")),
    ]
