"""An index under a stream of changes: what it costs, what it still finds, what readers see when its files go."""

import json
import shutil
import sqlite3
import uuid
from contextlib import closing

import numpy as np
import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection, transaction
from django.http import QueryDict

from listings.models import Category, Listing, ListingImage
from recommender import feed
from recommender.index import Filter, Index
from recommender.index.compaction.compactor import compact, rebuild
from recommender.index.compaction.verify import verify
from recommender.index.storage import segment
from recommender.index.storage.snapshot import segment_directory, snapshot_directory
from recommender.index.view import database_rows as rows
from recommender.index.view.recall_monitor import recall_of
from recommender.models import IndexHead, IndexSnapshot
from recommender.search.filters import FilterSerializer
from tests.recommender.index import catalogue

EVERYTHING = Filter(statuses=("draft", "active", "sold"))


def found(index, where=EVERYTHING):
    index.refresh()
    query = catalogue.unit(0, index.state().dim).astype(np.float32)
    return set(index.state().search(query, 10_000, where).listing.tolist())


def everything():
    return set(Listing.objects.exclude(status="removed").values_list("pk", flat=True))


def segments():
    return [entry["name"] for entry in IndexSnapshot.objects.last().segments]


def kinds():
    return {segment.read_manifest(segment_directory(name))["structure"]["kind"] for name in segments()}


def store(model, vectors, photos=1):
    """Listings with so many photos each, one for each of these vectors (float[n, dim]), in a few statements."""
    seller = User.objects.get_or_create(username="seller")[0]
    with transaction.atomic():
        listings = Listing.objects.bulk_create(
            Listing(seller=seller, title="a thing", price=10) for _ in vectors[::photos]
        )
        images = ListingImage.objects.bulk_create(
            ListingImage(listing=listing, sha256=f"{listing.pk:060d}{number:04d}")
            for listing in listings
            for number in range(photos)
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE recommender_embedding SET state = 'done', vector = %s WHERE image_id = %s AND model_id = %s",
                [
                    (vector.astype(np.float16).tobytes(), image.pk, model.pk)
                    for vector, image in zip(vectors, images, strict=True)
                ],
            )
        feed.append_vectors([listing.pk for listing in listings], model.pk)


def clusters(seed, count, rows, dim, spread=0.35):
    """float32[rows, dim], L2-normalised, around `count` centres."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((count, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = centres[random.integers(0, count, rows)]
    vectors = vectors + spread / dim**0.5 * random.standard_normal((rows, dim)) * 2
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_importing_twenty_thousand_rows_writes_at_most_six_times_what_is_left(model, monkeypatch):
    written = []
    real = segment.write

    def measured(directory, *args, **options):
        manifest = real(directory, *args, **options)
        written.append(size(directory))
        return manifest

    monkeypatch.setattr(segment, "write", measured)
    vectors = clusters(1, 50, 20_000, model.dim)
    for first in range(0, len(vectors), 500):
        store(model, vectors[first : first + 500], photos=4)
        assert "flushed" in compact(force=True).actions
    assert len(written) >= 40
    assert IndexSnapshot.objects.last().rows == 20_000
    assert len(segments()) <= 8
    assert sum(written) <= 6 * sum(size(segment_directory(name)) for name in segments())


def size(directory):
    return sum(path.stat().st_size for path in directory.iterdir())


@pytest.fixture
def wide(model):
    model.dim = 32
    model.save(update_fields=["dim"])
    return model


def test_recall_after_half_the_rows_were_replaced_by_new_kinds_is_what_a_rebuild_gives(wide, settings):
    """300 queries, ten neighbours each: their mean recall is uncertain by about a third of the 0.01 allowed."""
    settings.INDEX_EXACT_ROWS = 2_000
    store(wide, clusters(1, 40, 12_000, wide.dim))
    compact(force=True)
    old = list(Listing.objects.order_by("pk").values_list("pk", flat=True))
    doomed = np.random.default_rng(3).permutation(old)[:6_000]
    fresh = clusters(2, 40, 6_000, wide.dim)
    for first in range(0, 6_000, 1_500):
        Listing.objects.filter(pk__in=doomed[first : first + 1_500].tolist()).update(status="removed")
        store(wide, fresh[first : first + 1_500])
        compact(force=True)
    assert len(segments()) == 2
    assert kinds() == {"ivf"}
    queries = asked(np.concatenate([clusters(1, 40, 12_000, wide.dim)[:150], fresh[:150]]))
    churned = recall(queries)
    rebuild()
    assert kinds() == {"ivf"}
    assert recall(queries) > 0.9
    assert churned >= recall(queries) - 0.01


def asked(vectors):
    """Like these, but none of them."""
    noise = np.random.default_rng(9).standard_normal(vectors.shape)
    vectors = vectors + 0.3 * noise / vectors.shape[1] ** 0.5
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def recall(queries):
    index = Index()
    index.refresh()
    state = index.state()
    assert state.rows == 12_000
    answers = [[state.search(query, 10, Filter(), exact=exact) for exact in (False, True)] for query in queries]
    return np.mean([recall_of(*pair) for pair in answers])


@pytest.fixture
def inverted(model, settings):
    """Two segments with an inverted file each."""
    settings.INDEX_EXACT_ROWS, settings.INDEX_RECALL_TARGET = 150, 0.0
    for start in (0, 1_000):
        catalogue.add_many(model, 200, start=start)
        compact(force=True)
    assert kinds() == {"ivf"}
    return segments()


def answers(index):
    """What 20 searches give, some of which need every list of the inverted files."""
    state = index.state()
    queries = [catalogue.unit(seed, state.dim).astype(np.float32) for seed in range(20)]
    return [state.search(query, 5 + 30 * n, Filter()).listing.tolist() for n, query in enumerate(queries)]


def test_a_directory_hidden_from_one_of_two_readers_concerns_that_one_only(model, inverted):
    one, other = Index(), Index()
    found(one), found(other)
    late = catalogue.add_listing(model)
    compact(force=True)
    directory = segment_directory(segments()[-1])
    hidden = directory.rename(directory.with_name("hidden"))
    assert late.pk in found(one)  # from the feed
    assert str(directory) in one.health()["problem"]
    hidden.rename(directory)
    assert late.pk in found(other)
    assert other.health()["problem"] is None
    assert other.state().snapshot_id == IndexHead.load().snapshot_id != one.state().snapshot_id
    assert answers(one) == answers(other)
    assert set(IndexSnapshot.objects.values_list("state", flat=True)) == {"published", "retired"}
    assert compact(force=True).actions == ("nothing",)
    one._retry_at = 0
    assert found(one) == found(other) == everything()
    assert one.health()["problem"] is None


@pytest.mark.parametrize("how", ["removed", "collected"])
def test_a_reader_whose_mapped_inverted_files_are_deleted_answers_as_before(model, inverted, settings, how):
    settings.INDEX_REFRESH_MS = 3_600_000  # it looks at the feed only when it is told to
    index = Index()
    found(index)
    before = answers(index)
    if how == "removed":
        for name in inverted:
            shutil.rmtree(segment_directory(name))
    else:
        rebuild()
        rebuild()
    assert not any(segment_directory(name).exists() for name in inverted)
    assert answers(index) == before
    if how == "removed":
        late = catalogue.add_listing(model)
        assert found(index) == everything()
        assert compact().actions == ("rebuilt",)
        assert late.pk in found(index)
    assert found(index) == everything()
    assert index.health()["problem"] is None
    assert verify() == []


def of_a_new_epoch():
    IndexHead.objects.update(epoch=uuid.uuid4())


def ahead_of_the_database():
    """As in a database restored to a new server, whose numbers begin again."""
    ahead = "99999999999:99999999999:" if connection.vendor == "postgresql" else "99999999999"
    IndexSnapshot.objects.update(position=ahead)
    for row in IndexSnapshot.objects.all():
        manifest = snapshot_directory(row.directory) / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"position": ahead}))


@pytest.mark.parametrize("foreign", [of_a_new_epoch, ahead_of_the_database])
def test_an_index_of_another_history_is_rebuilt_from_rows(model, index, foreign):
    catalogue.add_many(model, 20)
    compact(force=True)
    assert found(index) == everything()
    epoch = IndexHead.load().epoch
    before = segments()
    foreign()
    catalogue.add_many(model, 5, start=100)
    assert compact().actions == ("rebuilt",)
    assert IndexHead.load().epoch != epoch
    assert set(segments()).isdisjoint(before)
    assert found(index) == found(Index()) == everything()
    assert index.state().base.epoch == IndexHead.load().epoch
    assert compact(force=True).actions == ("nothing",)
    assert verify() == []


@pytest.mark.parametrize("later", [1, 4], ids=["its files are there", "its files are gone"])
def test_yesterdays_dump_restored_over_a_live_index_is_what_it_answers_from(model, index, tmp_path, later):
    if connection.vendor != "sqlite":
        pytest.skip("restored here by SQLite's own backup")
    catalogue.add_many(model, 30)
    compact(force=True)
    yesterday = everything()
    with closing(sqlite3.connect(tmp_path / "dump")) as dump:
        connection.connection.backup(dump)
        for number in range(later):
            catalogue.add_many(model, 10, start=100 * number)
            Listing.objects.order_by("pk").first().delete()
            Listing.objects.filter(pk=Listing.objects.order_by("pk")[3].pk).update(price=999)
            compact(force=True)
        assert found(index) == everything() != yesterday
        dump.backup(connection.connection)
    assert everything() == yesterday
    for number in range(3):  # the numbers of yesterday's are given again, to other things
        catalogue.add_listing(model, seed=9_000 + number)
    actions = compact(force=True).actions
    assert actions == (("flushed",) if later == 1 else ("rebuilt",))
    assert found(index) == found(Index()) == everything()
    assert not found(index, Filter(min_price=999))
    assert verify() == []
    query = catalogue.unit(900_000).astype(np.float32)
    assert index.state().search(query, 1, Filter()).similarity[0] == pytest.approx(1, abs=1e-2)


def test_a_subtree_of_a_thousand_listings_that_moves_is_filtered_right_at_once_without_a_feed_row(model, index):
    home, garden = Category.objects.create(name="Home"), Category.objects.create(name="Garden")
    chairs = Category.objects.create(name="Chairs", parent=home)
    stools = Category.objects.create(name="Stools", parent=chairs)
    moved = {listing.pk for listing in catalogue.add_many(model, 1_000)}
    Listing.objects.filter(pk__in=sorted(moved)[::2]).update(category=chairs)
    Listing.objects.filter(pk__in=sorted(moved)[1::2]).update(category=stools)
    stays = catalogue.add_listing(model, category=home)
    compact(force=True)
    catalogue.add_listing(model, category=garden)  # in the delta
    assert found(index, below("Home")) == {*moved, stays.pk}
    before = feed.current_position()
    chairs.parent = garden
    chairs.save()
    assert feed.read(before, model.pk).listings == set()
    assert found(index, below("Home")) == {stays.pk}
    assert found(index, below("Garden / Chairs")) == moved
    assert len(found(index, below("Garden"))) == 1_001
    assert len(index.state().delta) == 1
    assert compact(force=True).actions == ("flushed",)
    assert found(index, below("Garden / Chairs / Stools")) == set(sorted(moved)[1::2])
    assert verify() == []


def below(path):
    asked = FilterSerializer(data=QueryDict(f"category={path}"), context={"user": AnonymousUser()})
    asked.is_valid(raise_exception=True)
    return asked.to_filter()


class Editor:
    """Changes something that was read already, and something that is still to be read."""

    def __init__(self, model):
        self._model, self.calls = model, 0

    def edit(self):
        self.calls += 1
        first, second, third, *_, third_last, second_last, last = Listing.objects.exclude(status="removed").order_by(
            "pk"
        )
        for deleted in (first, last):
            deleted.delete()
        for edited in (second, second_last):
            Listing.objects.filter(pk=edited.pk).update(price=500 + self.calls, status="sold")
        for number, embedded in enumerate((third, third_last)):
            catalogue.store_vector(embedded.images.get(), self._model, catalogue.unit(7_000 + 10 * self.calls + number))
        Listing.objects.filter(pk=Listing.objects.order_by("pk")[60].pk).update(status="removed")
        catalogue.add_listing(self._model)


BETWEEN = ["pages", "a page's listings and their rows"]


@pytest.mark.parametrize("between", BETWEEN)
def test_what_is_edited_and_deleted_while_an_index_is_rebuilt_is_right_at_once(model, index, monkeypatch, between):
    catalogue.add_many(model, 200)
    compact(force=True)
    editor = Editor(model)
    monkeypatch.setattr(rows, "LISTINGS_PER_QUERY", 20)
    read_all, searchable = rows.read_all, rows.searchable

    def edited_pages(*args):
        for page in read_all(*args):
            if between == BETWEEN[0] and editor.calls < 9:  # each adds a listing, and so perhaps a page
                editor.edit()
            yield page
            if between == BETWEEN[1] and editor.calls < 9:
                monkeypatch.setattr(rows, "searchable", edited_rows)

    def edited_rows(model_id):
        monkeypatch.setattr(rows, "searchable", searchable)
        editor.edit()
        return searchable(model_id)

    monkeypatch.setattr(rows, "read_all", edited_pages)
    assert rebuild().actions == ("rebuilt",)
    monkeypatch.undo()
    assert editor.calls == 9
    assert verify() == []
    for reader in (index, Index()):
        assert found(reader) == everything()
        assert found(reader, Filter(statuses=("sold",), min_price=500)) == set(
            Listing.objects.filter(status="sold").values_list("pk", flat=True)
        )
    assert compact(force=True).actions[0] == "flushed"
    assert verify() == []
    assert found(index) == found(Index()) == everything()
