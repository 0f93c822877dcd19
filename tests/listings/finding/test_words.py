# ruff: noqa: RUF001 - letters of other scripts, which look alike, are what these tests are about
"""Words are found as people write them, in every script, the same on both databases, whoever wrote the text."""

import pytest
from django.db import connection
from django.db.migrations import RunPython
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from listings.finding.words import fold_words
from listings.models import Listing
from listings.services import update_listing
from tests.factories import api, make_listing, make_user
from workers.maintenance import run_garbage_collection

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        ("Écran plat", "écran", True),
        ("Écran plat", "ECRAN", True),
        ("Ecran plat", "écran", True),
        ("Красный стул", "красный", True),
        ("красный стул", "СТУЛ", True),
        ("Ёлка", "елка", True),
        ("ÅNGSTRÖM lamp", "ångström", True),
        ("Ørsted chair", "ørsted", True),
        ("Ørsted chair", "orsted", True),
        ("Straße", "STRASSE", True),
        ("IŞIK lamba", "ışık", True),
        ("İstanbul", "istanbul", True),
        ("ΛΆΜΠΑ", "λαμπα", True),
        ("Ｗｉｄｅ lamp", "wide", True),
        ("oak chairs", "chair", True),
        ("oak chair", "chairs", False),
        ("a smart lamp", "art", False),
        ("a smart lamp", "smart", True),
        ("armchair", "chair", False),
        ("arm-chair", "chair", True),
        ("T-Shirt, blue", "t-shirt", True),
        ("T-Shirt, blue", "shirt", True),
        ("shirt, t-bone", "t-shirt", False),
        ("chair_oak.2", "oak", True),
        ("l'écran", "écran", True),
        ("size 42", "4", True),
        ("size 142", "42", False),
        ("50% off", "50%", True),
        ("a 100\u00b0 oven", "100\u00b0", True),
        ("chair\u00adlift", "chairlift", True),
        ("東京の椅子", "椅子", True),
        ("東京の椅子", "東の", False),
        ("كِتَاب جديد", "كتاب", True),
        ("كتاب", "كِتَاب", True),
        ("أحمـــد", "احمد", True),
        ("שָׁלוֹם", "שלום", True),
        ("בית־ספר", "ספר", True),
        ("किताब", "कत", False),
        ("รองเท้าแดง", "แดง", True),
        ("デスクライト", "ライト", True),
        ("ﾃﾞｽｸ", "デスク", True),
        ("초록 의자", "의자", True),
        ("हिन्दी किताब", "किताब", True),
        ("🪑 for two", "🪑", True),
        ("a chair", "%", False),
        ("a chair", "_", False),
        ("a chair", "chair %", True),
        ("a chair", "\\", False),
    ],
)
def test_a_query_finds_words_that_begin_with_it(text, query, found):
    in_title, in_description = make_listing(title=text), make_listing(title="Lot", description=f"For sale: {text}.")
    ids = {in_title.pk, in_description.pk}
    answer = api().get("/api/v1/listings/", {"q": query}).json()
    assert {one["id"] for one in answer["results"]} == (ids if found else set())


@pytest.mark.parametrize(("text", "words"), [("", ""), (" ,;!", ""), ("Oak  CHAIR", " oak chair"), ("椅子", " 椅 子")])
def test_a_text_is_kept_as_its_words(text, words):
    assert fold_words(text) == words


def find(query):
    return list(Listing.objects.with_words(query).values_list("title", flat=True))


def test_words_follow_every_way_of_writing():
    listing, other = make_listing(title="Lamp"), make_listing(title="Box")
    assert find("lamp") == ["Lamp"]
    update_listing(listing, make_user(staff=True), {"title": "Chair"})
    assert (find("lamp"), find("chair")) == ([], ["Chair"])
    listing.refresh_from_db()
    listing.title = "Sofa"
    listing.save(update_fields=["title"])
    assert (find("chair"), find("sofa")) == ([], ["Sofa"])
    Listing.objects.bulk_create([Listing(seller=listing.seller, title="Vase", description="Blue")])
    assert find("vase blue") == ["Vase"]
    listing.title, other.title = "Stool", "Crate"
    Listing.objects.bulk_update([listing, other], ["title"])
    assert (find("stool"), find("crate"), find("box")) == (["Stool"], ["Crate"], [])


@pytest.mark.django_db(transaction=True)
def test_listings_of_an_older_site_get_their_words_and_keep_their_triggers():
    executor = MigrationExecutor(connection)
    executor.migrate([("listings", "0002_imported_photos")])
    seller = make_user()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO listings_listing (seller_id, title, description, location, status, created_at, updated_at) "
            "VALUES (%s, 'Красный стул', 'Écran', '', 'active', %s, %s)",
            [seller.pk, "2026-01-01 00:00:00+00:00", "2026-01-01 00:00:00+00:00"],
        )
    executor = MigrationExecutor(connection)
    # To the last ones, as an upgrade does: later tests find the tables of all.
    executor.migrate(executor.loader.graph.leaf_nodes())
    assert find("стул écran") == ["Красный стул"]
    assert triggers() == {"recommender_listing_update", "recommender_listing_delete"}


def test_no_lock_of_a_new_column_is_held_while_words_are_written():
    """Readers of the older version would wait until the words of a million listings are written."""
    loader = MigrationLoader(connection)
    kinds = {name: loader.get_migration("listings", name) for name in ("0003_words", "0005_words_of_older_listings")}
    assert not any(isinstance(step, RunPython) for step in kinds["0003_words"].operations)
    assert not kinds["0005_words_of_older_listings"].atomic


def test_what_a_program_of_the_older_version_writes_is_found_after_the_hourly_clean_up():
    new, changed, other = make_listing(title="Lamp"), make_listing(title="Box"), make_listing(title="Sofa")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE listings_listing SET title_words = '' WHERE id = %s", [new.pk])
        cursor.execute("UPDATE listings_listing SET title = 'Écran' WHERE id = %s", [changed.pk])
    run_garbage_collection()
    assert (find("lamp"), find("ecran"), find("box"), find("sofa")) == (["Lamp"], ["Écran"], [], ["Sofa"])
    assert Listing.objects.get(pk=other.pk).updated_at == other.updated_at


def triggers():
    table = "sqlite_master WHERE type = 'trigger'" if connection.vendor == "sqlite" else "pg_trigger"
    name = "name" if connection.vendor == "sqlite" else "tgname"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name} FROM {table}")  # noqa: S608 - two names of our own
        return {name for (name,) in cursor.fetchall() if name.startswith("recommender_listing_")}
