"""Files of another history than the database's, as after a backup is restored, are never answered from."""

import json
import sqlite3
import uuid
from contextlib import closing

import numpy as np
import pytest
from django.db import connection

from listings.models import Listing
from recommender.index import Filter, Index, find_nearest_listings
from recommender.index.compaction.compactor import compact
from recommender.index.compaction.verify import verify
from recommender.index.storage.snapshot import snapshot_directory
from recommender.models import IndexHead, IndexSnapshot
from tests.recommender.index import catalogue
from tests.recommender.index.served import (
    everything,
    found,
    segment_names,
)


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
    before = segment_names()
    foreign()
    catalogue.add_many(model, 5, start=100)
    assert compact().actions == ("rebuilt",)
    assert IndexHead.load().epoch != epoch
    assert set(segment_names()).isdisjoint(before)
    assert found(index) == found(Index()) == everything()
    assert index.get_state().base.epoch == IndexHead.load().epoch
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
    assert find_nearest_listings(index.get_state(), query, 1, Filter()).similarity[0] == pytest.approx(1, abs=1e-2)
