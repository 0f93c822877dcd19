"""Every migration of ours goes back and forth on a database with rows in it, and the triggers are there afterwards."""

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from listings.models import AccessToken, Category, ImportedPhoto, Listing, ListingImage, RequestKeyRow
from recommender.models import Embedding, EmbeddingModel, IndexChange, IndexHead, IndexSnapshot, RankerVersion

ALIAS = "walked"
APPS = ("listings", "recommender")
FILLED = (
    *(Category, Listing, ListingImage, ImportedPhoto, RequestKeyRow, AccessToken),
    *(EmbeddingModel, Embedding, IndexSnapshot, RankerVersion),
)
TITLE, WORDS = "Écran", ["ecran"]
TRIGGERS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
}


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
    """Back, forth and back, from the last to the first, which stays, and then forth as the upgrade of an old site."""
    fill_tables()
    assert all(model._default_manager.using(ALIAS).exists() for model in FILLED)
    first, *others = list_migrations(walked)
    for app, name in reversed(others):
        before, triggers = read_columns(walked), list_triggers(walked)
        migrate_back_before(walked, app, name)
        kept = read_columns(walked).keys()
        migrate(walked, [(app, name)])
        after = read_columns(walked)
        assert after.keys() == before.keys(), f"{app}.{name}"
        for column in kept & before.keys():
            assert after[column] == before[column], f"{app}.{name} changes {column}, which it keeps"
        assert list_triggers(walked) == triggers, f"{app}.{name} leaves other triggers"
        migrate_back_before(walked, app, name)
    assert Listing.objects.using(ALIAS).values_list("title", flat=True).get() == TITLE
    migrate(walked, MigrationExecutor(walked).loader.graph.leaf_nodes())
    assert Listing.objects.using(ALIAS).get().title_words.split() == WORDS
    assert RankerVersion.objects.using(ALIAS).filter(state="active").count() == 1
    assert IndexHead.objects.using(ALIAS).filter(pk=1).exists()
    fill_tables()
    assert save_and_count_queue_and_feed_rows() == (1, 1)
    migrate_back_before(walked, *first)
    assert read_columns(walked) == {}


def list_migrations(connection) -> list[tuple[str, str]]:
    """Those of our rooms, each after what it depends on, and those of `listings` late, while the triggers are there."""
    graph = MigrationExecutor(connection).loader.graph
    plan = [node for leaf in reversed(graph.leaf_nodes()) for node in graph.forwards_plan(leaf) if node[0] in APPS]
    return list(dict.fromkeys(plan))


def migrate(connection, targets: list[tuple[str, str | None]]) -> None:
    MigrationExecutor(connection).migrate(targets)


def migrate_back_before(connection, app: str, name: str) -> None:
    """Undo a migration and all that depend on it."""
    parents = MigrationExecutor(connection).loader.graph.node_map[app, name].parents
    migrate(connection, [(app, next((node.key[1] for node in parents if node.key[0] == app), None))])


def read_columns(connection) -> dict[tuple[str, str], list[str]]:
    """Every column of our tables, by table and name, in the order of the first column, which is the key."""
    columns: dict[tuple[str, str], list[str]] = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table.startswith(APPS):
                cursor.execute(f'SELECT * FROM "{table}" ORDER BY 1')  # noqa: S608 - of the schema
                rows = cursor.fetchall()
                for place, column in enumerate(cursor.description):
                    columns[table, column[0]] = [repr(row[place]) for row in rows]
    return columns


def list_triggers(connection) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(TRIGGERS[connection.vendor])
        return sorted(cursor.fetchall())


def fill_tables() -> None:
    """A row in every table that a migration may trip over, and values as long as their columns take them."""
    seller, _ = User.objects.using(ALIAS).get_or_create(username="seller")
    category, _ = Category.objects.using(ALIAS).get_or_create(name="Shoes", path="Shoes")
    listing = Listing.objects.using(ALIAS).create(seller=seller, title=TITLE, category=category, price=3)
    ImportedPhoto.objects.using(ALIAS).get_or_create(external_id="x" * 255, defaults={"listing": listing})
    model, _ = EmbeddingModel.objects.using(ALIAS).get_or_create(
        version="walked", defaults={"arch": "fake", "dim": 4, "checkpoint": "x", "sha256": "0", "state": "active"}
    )
    ListingImage.objects.using(ALIAS).create(listing=listing, sha256="0" * 64)
    snapshot, _ = IndexSnapshot.objects.using(ALIAS).get_or_create(model=model, directory="x", position="1")
    IndexHead.objects.using(ALIAS).update(snapshot=snapshot)
    AccessToken.objects.using(ALIAS).get_or_create(digest="d" * 64, beginning="b" * 8, user=seller)
    RequestKeyRow.objects.using(ALIAS).get_or_create(digest="k" * 64, content="c" * 64, listing_id=listing.pk)
    RankerVersion.objects.using(ALIAS).get_or_create(name="linear-2", kind="linear", state="retired")


def save_and_count_queue_and_feed_rows() -> tuple[int, int]:
    """What the triggers write for one new photo, and for one change of a price."""
    seller = User.objects.using(ALIAS).get(username="seller")
    listing = Listing.objects.using(ALIAS).create(seller=seller, title="Saved afterwards", price=3)
    photo = ListingImage.objects.using(ALIAS).create(listing=listing, sha256="1" * 64)
    Listing.objects.using(ALIAS).filter(pk=listing.pk).update(price=4)
    queued = Embedding.objects.using(ALIAS).filter(image=photo.pk).count()
    return queued, IndexChange.objects.using(ALIAS).filter(listing_id=listing.pk).count()
