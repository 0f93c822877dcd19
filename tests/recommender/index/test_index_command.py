from __future__ import annotations

import json
import threading

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from recommender.index.compaction.lease import acquire_lease
from recommender.management.commands import index as index_command
from recommender.models import IndexHead

from . import catalogue

pytestmark = pytest.mark.django_db(transaction=True)


def let_go():
    IndexHead.objects.update(token=None)
    connection.close()


def test_compacting_by_hand_waits_for_the_compactor_at_work(model, index, capsys):
    catalogue.add_many(model, 3)
    with acquire_lease():
        free = threading.Timer(0.7, let_go)
        free.start()
        call_command("index", "compact")
    free.join()
    assert "flushed" in capsys.readouterr().out


def test_it_does_not_wait_for_ever(model, index, monkeypatch):
    monkeypatch.setattr(index_command, "PATIENCE_SECONDS", 0.1)
    with (
        acquire_lease(),
        pytest.raises(CommandError, match="another compactor is still at work; try again in a minute"),
    ):
        call_command("index", "compact")


def test_status_says_what_is_served_and_of_which_segments(model, index, settings, capsys):
    settings.INDEX_EXACT_ROWS = 100
    settings.INDEX_RECALL_TARGET = 0.5
    catalogue.add_many(model, 120)
    call_command("index", "compact")
    catalogue.add_many(model, 3, start=120)
    call_command("index", "compact")
    capsys.readouterr()
    call_command("index", "status")
    told = json.loads(capsys.readouterr().out)
    assert (told["usable"], told["rows"], told["problem"]) == (True, 123, None)
    assert [(one["rows"], one["live"], one["lists"] is None) for one in told["segments"]] == [
        (120, 120, False),
        (3, 3, True),
    ]
    assert told["segments"][0]["recall"] >= 0.5
    assert told["segments"][1]["recall"] == 1
