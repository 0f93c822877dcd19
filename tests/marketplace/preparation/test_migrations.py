"""Every migration of ours goes back and forth on a database with rows in it, and the triggers are there afterwards."""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model

from listings.models import Category, ImportedPhoto, Listing, ListingImage
from recommender.models import Embedding, EmbeddingModel, IndexChange, IndexHead, IndexSnapshot, RankerVersion

ALIAS = "walked"
APPS = ("listings", "recommender")
KEPT = (Category, Listing, ListingImage, ImportedPhoto, EmbeddingModel, Embedding, IndexSnapshot, RankerVersion)


@pytest.fixture
def walked(tmp_path, django_db_setup, django_db_blocker):
    """A second database with all migrations, which no other test sees."""
    usual = connections["default"].settings_dict
    name = str(tmp_path / "walked") if connections["default"].vendor == "sqlite" else f"{usual['NAME']}_walked"
    connections.settings[ALIAS] = {**usual, "NAME": name, "TEST": {**usual["TEST"], "NAME": name}}
    connection = connections[ALIAS]
    with django_db_blocker.unblock():
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        yield connection
        connection.creation.destroy_test_db(usual["NAME"], verbosity=0)
    del connections.settings[ALIAS], connections[ALIAS]


def test_every_migration_goes_back_and_forth_on_a_filled_database(walked):
    fill_tables()
    for app, name in reversed(list_migrations(walked)):
        kept = count_rows()
        gone = migrate_back_before(walked, app, name)
        call_command("migrate", database=ALIAS, verbosity=0)
        lost = {model: count for model, count in kept.items() if count_rows()[model] < count}
        assert {model._meta.db_table for model in lost} <= gone, f"{app}.{name} loses rows of tables that it keeps"
        assert RankerVersion.objects.using(ALIAS).filter(state="active").count() == 1, f"{app}.{name}"
        assert IndexHead.objects.using(ALIAS).filter(pk=1).exists(), f"{app}.{name}"
        if lost:
            fill_tables()
        assert save_and_count_queue_and_feed_rows() == (1, 1), f"{app}.{name} leaves no triggers"


def list_migrations(connection) -> list[tuple[str, str]]:
    """Those of our rooms, each after what it depends on."""
    graph = MigrationExecutor(connection).loader.graph
    plan = [node for leaf in graph.leaf_nodes() for node in graph.forwards_plan(leaf) if node[0] in APPS]
    return list(dict.fromkeys(plan))


def migrate_back_before(connection, app: str, name: str) -> set[str]:
    """Undo a migration and all that depend on it. Returns the tables that are gone."""
    before = set(connection.introspection.table_names())
    parents = MigrationExecutor(connection).loader.graph.node_map[app, name].parents
    target = next((node.key[1] for node in parents if node.key[0] == app), "zero")
    call_command("migrate", app, target, database=ALIAS, verbosity=0)
    return before - set(connection.introspection.table_names())


def count_rows() -> dict[type[Model], int]:
    return {model: model._default_manager.using(ALIAS).count() for model in KEPT}


def fill_tables() -> None:
    """A row in every table that a migration may trip over, and values as long as their columns take them."""
    seller, _ = User.objects.using(ALIAS).get_or_create(username="seller")
    category, _ = Category.objects.using(ALIAS).get_or_create(name="Shoes", path="Shoes")
    listing = Listing.objects.using(ALIAS).create(seller=seller, title="Écran", category=category, price=3)
    ImportedPhoto.objects.using(ALIAS).get_or_create(external_id="x" * 255, defaults={"listing": listing})
    model, _ = EmbeddingModel.objects.using(ALIAS).get_or_create(
        version="walked", defaults={"arch": "fake", "dim": 4, "checkpoint": "x", "sha256": "0", "state": "active"}
    )
    ListingImage.objects.using(ALIAS).create(listing=listing, sha256="0" * 64)
    snapshot, _ = IndexSnapshot.objects.using(ALIAS).get_or_create(model=model, directory="x", position="1")
    IndexHead.objects.using(ALIAS).update(snapshot=snapshot)
    RankerVersion.objects.using(ALIAS).get_or_create(name="linear-2", kind="linear", state="retired")


def save_and_count_queue_and_feed_rows() -> tuple[int, int]:
    """What the triggers write for one new photo, and for one change of a price."""
    seller = User.objects.using(ALIAS).get(username="seller")
    listing = Listing.objects.using(ALIAS).create(seller=seller, title="Saved afterwards", price=3)
    photo = ListingImage.objects.using(ALIAS).create(listing=listing, sha256="1" * 64)
    Listing.objects.using(ALIAS).filter(pk=listing.pk).update(price=4)
    queued = Embedding.objects.using(ALIAS).filter(image=photo.pk).count()
    return queued, IndexChange.objects.using(ALIAS).filter(listing_id=listing.pk).count()
