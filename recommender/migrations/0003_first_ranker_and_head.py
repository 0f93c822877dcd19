"""Ranker version 1 (linear, readable weights) and the one row of the index head."""

from django.db import migrations

WEIGHTS = {
    "similarity": 1.0,
    "category": 0.25,
    "price": 0.15,
    "distance": 0.10,
    "age": 0.05,
    "photos": 0.02,
}


def seed(apps, schema_editor):
    apps.get_model("recommender", "RankerVersion").objects.create(
        name="linear-1", kind="linear", weights=WEIGHTS, features=list(WEIGHTS), state="active"
    )
    apps.get_model("recommender", "IndexHead").objects.create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("recommender", "0002_change_feed_triggers")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
