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
    """What is there already stays: going back keeps these rows, and a site may have rankers of its own by then."""
    alias = schema_editor.connection.alias
    rankers = apps.get_model("recommender", "RankerVersion").objects.using(alias)
    if not rankers.exists():
        rankers.create(name="linear-1", kind="linear", weights=WEIGHTS, features=list(WEIGHTS), state="active")
    apps.get_model("recommender", "IndexHead").objects.using(alias).get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("recommender", "0002_change_feed_triggers")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
