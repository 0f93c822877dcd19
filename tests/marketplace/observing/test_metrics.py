"""Figures for Prometheus: to whom, which, and what is left out when something does not answer."""

import os
import time
from datetime import timedelta
from typing import Any

import prometheus_client
import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from marketplace.observing import metrics as page
from marketplace.observing.health import DOOR
from recommender.index.view.recall_monitor import RecallMonitor
from recommender.index.view.recall_window import JudgedSearch
from recommender.models import Embedding, Heartbeat
from tests.factories import make_image, make_listing, make_user

METRICS = "/metrics"
OUTSIDE = "203.0.113.9"
AT_DOOR: Any = {DOOR: True}
DATABASE_FIGURES = {"queue_pending", "queue_leased", "queue_failed", "upload_lag_seconds", "index_position_lag"}


@pytest.fixture
def model(transactional_db, settings, tmp_path):
    """An active model, and this process's index and monitor as if the process had just started."""
    from recommender.index.view import process
    from tests.recommender.index.catalogue import active_model

    settings.INDEX_ROOT = tmp_path / "index"
    process.own_index.forget()
    process.own_monitor.forget()
    yield active_model()
    process.own_index.forget()
    process.own_monitor.forget()


def scrape(client=None, **extra):
    """{(name, label values…): value} without the common prefix."""
    response = (client or Client()).get(METRICS, **AT_DOOR, **extra)
    assert response.status_code == 200
    figures = {}
    for family in text_string_to_metric_families(response.content.decode()):
        assert family.documentation
        for sample in family.samples:
            name = sample.name.removeprefix("marketplace_")
            assert name != sample.name  # nothing but the site's own
            figures[(name, *sample.labels.values())] = sample.value
    return figures


def asked_by(user=None, **extra):
    client = Client()
    if user:
        client.force_login(user)
    return client.get(METRICS, REMOTE_ADDR=OUTSIDE, **extra)


def test_metrics_are_for_staff_the_door_and_a_token(model, settings):
    settings.HEALTH_TOKEN = "let-me-see"
    owner = make_listing().seller
    refused = [asked_by(), asked_by(owner), asked_by(make_user()), asked_by(HTTP_X_HEALTH_TOKEN="guess")]
    assert [response.status_code for response in refused] == [403] * 4
    assert all(response.content.decode() == page.REFUSAL for response in refused)
    allowed = [
        asked_by(make_user(staff=True)),
        asked_by(HTTP_X_HEALTH_TOKEN="let-me-see"),
        Client().get(METRICS, **AT_DOOR),
    ]
    assert [response.status_code for response in allowed] == [200] * 3
    assert all(response["Content-Type"].startswith("text/plain; version=0.0.4") for response in allowed)
    assert all("no-cache" in response["Cache-Control"] for response in allowed)
    # A proxy on this machine that adds nothing but this header.
    assert Client().get(METRICS, HTTP_X_FORWARDED_PROTO="https").status_code == 403


def test_metrics_are_only_read(db):
    assert Client().post(METRICS).status_code == 405


def test_a_scrape_says_what_the_queue_holds_and_who_lives(model):
    listing, now = make_listing(), timezone.now()
    for _ in range(4):
        make_image(listing, data=b"x")
    make_image(listing, data=b"x", source="import")
    rows = list(Embedding.objects.order_by("id"))
    Embedding.objects.filter(pk=rows[0].pk).update(created_at=now - timedelta(seconds=90))
    Embedding.objects.filter(pk=rows[1].pk).update(state="failed")
    Embedding.objects.filter(pk=rows[2].pk).update(state="leased")
    for name, kind, age in (("a", "embedding", 60), ("b", "embedding", 3), ("c", "indexing", 9)):
        Heartbeat.objects.create(name=name, kind=kind, seen_at=now - timedelta(seconds=age))
    figures = scrape()
    queue = {key: value for key, value in figures.items() if key[0].startswith("queue_")}
    assert queue == {
        ("queue_pending", "upload"): 2,
        ("queue_pending", "retry"): 0,
        ("queue_pending", "import"): 1,
        ("queue_pending", "backfill"): 0,
        ("queue_leased",): 1,
        ("queue_failed",): 1,
    }
    assert figures["upload_lag_seconds",] == pytest.approx(90, abs=5)
    assert figures["heartbeat_age_seconds", "embedding"] == pytest.approx(3, abs=3)
    assert figures["heartbeat_age_seconds", "indexing"] == pytest.approx(9, abs=3)
    heard = {kind: figures["workers", kind] for kind in ("embedding", "indexing", "default", "beat")}
    assert heard == {"embedding": 1, "indexing": 1, "default": 0, "beat": 0}
    assert (figures["database_up",], figures["broker_up",]) == (1, 1)
    assert figures["process_info", str(os.getpid())] == 1


def test_a_scrape_says_what_the_index_holds_and_how_fresh_it_is(model):
    from recommender.index import compact, get_index
    from tests.recommender.index.catalogue import add_many

    add_many(model, 5)
    compact(force=True)
    add_many(model, 3)
    get_index().refresh()
    figures = scrape()
    expected = {"usable": 1, "rows": 8, "delta_rows": 3, "segments": 1, "behind": 0, "position_lag": 0}
    assert {name: figures[f"index_{name}",] for name in expected} == expected
    assert 0 <= figures["index_snapshot_age_seconds",] < 60
    assert 0 <= figures["index_refresh_age_seconds",] < 60


def test_a_scrape_says_what_searches_find_once_some_were_judged(model, settings):
    from recommender.index.view import process

    settings.INDEX_RECALL_TARGET = 0.9
    figures = scrape()
    assert figures["index_recall_target",] == 0.9
    assert figures["index_recall_judged", "all"] == 0
    assert ("index_recall_mean", "all") not in figures
    monitor, now = RecallMonitor(share=1.0), time.monotonic()
    process.own_monitor.set(monitor)
    for recall in (1.0, 1.0, 1.0):
        monitor.window.record(JudgedSearch(recall, 1, filtered=False, at=now))
    monitor.window.record(JudgedSearch(0.6, 1, filtered=True, at=now))
    figures = scrape()
    by_kind = {key: round(value, 3) for key, value in figures.items() if key[0].startswith("index_recall_")}
    assert {key for key in by_kind if key[0] == "index_recall_age_seconds"}
    assert {key: value for key, value in by_kind.items() if key[0] != "index_recall_age_seconds"} == {
        ("index_recall_target",): 0.9,
        ("index_recall_mean", "all"): 0.9,
        ("index_recall_mean", "filtered"): 0.6,
        ("index_recall_mean", "unfiltered"): 1.0,
        ("index_recall_worst", "all"): 0.6,
        ("index_recall_worst", "filtered"): 0.6,
        ("index_recall_worst", "unfiltered"): 1.0,
        ("index_recall_judged", "all"): 4,
        ("index_recall_judged", "filtered"): 1,
        ("index_recall_judged", "unfiltered"): 3,
    }


def test_without_a_model_the_scrape_says_that_nothing_is_usable(transactional_db):
    from recommender.index.view import process

    process.own_index.forget()
    figures = scrape()
    assert (figures["index_usable",], figures["index_rows",]) == (0, 0)
    assert ("index_refresh_age_seconds",) not in figures


def test_a_broker_that_is_down_is_a_figure(model, broker_down):
    assert scrape()["broker_up",] == 0


@pytest.mark.parametrize("answers_first", [False, True], ids=["down", "goes down in the middle"])
def test_without_a_database_its_figures_are_left_out_and_the_index_is_still_told(model, answers_first):
    from recommender.index import get_index

    refused = []

    def refuse(execute, sql, params, many, context):
        if answers_first and "recommender_indexhead" in sql and "recommender_indexchange" not in sql:
            return execute(sql, params, many, context)
        refused.append(sql)
        raise OperationalError("server closed the connection unexpectedly")

    index = get_index()
    index.refresh()
    index.start()
    try:
        staff = Client()
        staff.force_login(make_user(staff=True))
        with connection.execute_wrapper(refuse):
            figures = scrape()
            assert len(refused) == 1  # each attempt may take as long as a connection does
            outside = staff.get(METRICS, REMOTE_ADDR=OUTSIDE) if not answers_first else None
    finally:
        index.stop()
    names = {name for name, *labels in figures}
    assert figures["database_up",] == 0
    assert figures["index_usable",] == 1
    assert not names & DATABASE_FIGURES
    assert outside is None or outside.status_code == 403


def test_a_process_that_does_not_refresh_on_a_thread_tells_of_the_database_too(model):
    def refuse(execute, sql, params, many, context):
        raise OperationalError("server closed the connection unexpectedly")

    with connection.execute_wrapper(refuse):
        figures = scrape()
    assert (figures["database_up",], figures["broker_up",]) == (0, 1)


def test_nothing_is_registered_for_the_whole_process(model):
    scrape()
    assert not any(family.name.startswith("marketplace") for family in prometheus_client.REGISTRY.collect())
