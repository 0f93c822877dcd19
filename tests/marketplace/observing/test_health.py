"""Alive, ready, and what else is said to whom."""

import re
import time
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test import Client, RequestFactory
from django.utils import timezone

from marketplace.observing import health_details
from marketplace.observing.health import DOOR, is_trusted
from recommender.embedding.heartbeat import note_what_is_lost
from recommender.models import Embedding, EmbeddingModel, Heartbeat, IndexSnapshot
from tests.factories import make_image, make_listing, make_user
from workers.maintenance import run_sweep

LIVE, READY = "/health/live", "/health/ready"
OUTSIDE = "203.0.113.9"


@pytest.fixture
def fresh_index(transactional_db, settings, tmp_path):
    """This process's index, as if the process had just started."""
    from recommender.index.view import process

    settings.INDEX_ROOT = tmp_path / "index"
    process.own_index.forget()
    yield
    process.own_index.forget()


@pytest.fixture
def model(fresh_index):
    from tests.recommender.index.catalogue import active_model

    return active_model()


def ready(**extra):
    """What is answered at health's own door."""
    return Client().get(READY, **{DOOR: True, **extra})


def public(**extra):
    return Client().get(READY, **extra)


def test_a_living_process_says_so_to_everybody(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = Client().get(LIVE, REMOTE_ADDR=OUTSIDE)
    assert response.json() == {"status": "ok"}
    assert "no-cache" in response["Cache-Control"]


def test_an_empty_snapshot_is_ready(model):
    response = public(REMOTE_ADDR=OUTSIDE)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_without_a_model_it_is_not_ready_and_says_why(fresh_index):
    assert public(REMOTE_ADDR=OUTSIDE).json() == {"status": "unavailable"}
    response = ready()
    assert response.status_code == 503
    assert response.json()["problem"]


def test_without_a_database_it_is_not_ready(model):
    def refuse(execute, sql, params, many, context):
        raise OperationalError("server closed the connection unexpectedly")

    client = Client()
    client.force_login(make_user(staff=True))
    with connection.execute_wrapper(refuse):
        response = ready()
        outside = client.get(READY, REMOTE_ADDR=OUTSIDE)
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "problem": "The database does not answer."}
    assert (outside.status_code, outside.json()) == (503, {"status": "unavailable"})


def test_a_broker_that_is_down_is_reported_and_does_not_matter(model, broker_down):
    response = ready()
    assert response.status_code == 200
    assert response.json()["details"]["broker_reachable"] is False
    assert "rates are not counted: the cache does not answer at CACHE_URL" in response.json()["problem"]


def test_details_are_for_the_door_a_token_and_staff(model, settings):
    settings.HEALTH_TOKEN = "let-me-see"
    client = Client()
    assert "details" in ready().json()
    assert "details" in public(REMOTE_ADDR=OUTSIDE, HTTP_X_HEALTH_TOKEN="let-me-see").json()
    assert "details" not in public(REMOTE_ADDR=OUTSIDE, HTTP_X_HEALTH_TOKEN="guess").json()
    client.force_login(make_user())
    assert "details" not in client.get(READY, REMOTE_ADDR=OUTSIDE).json()
    client.force_login(make_user(staff=True))
    assert "details" in client.get(READY, REMOTE_ADDR=OUTSIDE).json()


@pytest.mark.parametrize(
    ("environ", "trusted"),
    [
        ({DOOR: True}, True),
        ({DOOR: True, "REMOTE_ADDR": OUTSIDE, "HTTP_X_FORWARDED_FOR": OUTSIDE}, True),
        ({"REMOTE_ADDR": "127.0.0.1"}, False),
        ({"REMOTE_ADDR": "::1"}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https"}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_MARKETPLACE_DOOR": "True", "HTTP_MARKETPLACE.DOOR": "True"}, False),
        ({"HTTP_X_HEALTH_TOKEN": ""}, False),
        ({"HTTP_X_HEALTH_TOKEN": "\xe9"}, False),
    ],
)
@pytest.mark.parametrize("token", ["", "let-me-see"])
def test_neither_address_nor_headers_are_trusted(settings, environ, trusted, token):
    settings.HEALTH_TOKEN = token
    assert is_trusted(RequestFactory().get(READY, **environ)) is trusted


def test_details_tell_how_long_uploads_wait_and_what_the_queue_holds(model):
    listing = make_listing()
    for _ in range(3):
        make_image(listing, data=b"x")
    make_image(listing, data=b"x", source="import")
    rows = list(Embedding.objects.order_by("id"))
    Embedding.objects.filter(pk=rows[0].pk).update(created_at=timezone.now() - timedelta(seconds=90))
    Embedding.objects.filter(pk=rows[1].pk).update(state="failed")
    details = ready().json()["details"]
    assert details["queue"] == {
        "pending": {"upload": 2, "retry": 0, "import": 1, "backfill": 0},
        "leased": 0,
        "failed": 1,
        "counted_up_to": 10_000,
    }
    assert details["upload_lag_seconds"] == pytest.approx(90, abs=5)
    assert details["models"] == [{"version": model.version, "state": "active"}]
    assert details["broker_reachable"] is True
    assert details["index"]["usable"] is True


def test_details_of_the_index_say_how_fresh_it_is_and_what_searches_find(model):
    index = ready().json()["details"]["index"]
    assert index | {"refreshed_s": 0, "model": ""} == {
        "usable": True,
        "snapshot": None,
        "model": "",
        "rows": 0,
        "delta_rows": 0,
        "segments": 0,
        "behind": 0,
        "position_lag": 0,
        "refreshed_s": 0,
        "snapshot_age_s": None,
        "recall": {
            kind: {"judged": 0, "mean": None, "worst": None, "last_s": None}
            for kind in ("all", "filtered", "unfiltered")
        },
        "problem": None,
    }


def test_strangers_make_health_ask_nothing_more_than_whether_it_is_ready(model, django_assert_max_num_queries):
    public(REMOTE_ADDR=OUTSIDE)
    with django_assert_max_num_queries(2) as asked:  # the head, and the feed when the index looks again
        public(REMOTE_ADDR=OUTSIDE)
    assert not any("embedding" in query["sql"] for query in asked.captured_queries)


def test_searches_that_find_too_little_are_a_problem_for_those_who_may_know(model):
    from recommender.index.view import process
    from recommender.index.view.recall_monitor import RecallMonitor
    from recommender.index.view.recall_window import JudgedSearch

    monitor = RecallMonitor(share=1.0)
    process.own_monitor.set(monitor)
    for _ in range(100):
        monitor.window.record(JudgedSearch(0.9, model.pk, filtered=True, at=time.monotonic()))
    try:
        seen, outside = ready(), public(REMOTE_ADDR=OUTSIDE)
    finally:
        process.own_monitor.forget()
    assert seen.status_code == 200
    assert seen.json()["problem"].startswith(seen.json()["details"]["index"]["problem"])
    assert seen.json()["status"] == "degraded"
    assert seen.json()["problem"].startswith("searches find 90.0% of what an exact search finds")
    recall = seen.json()["details"]["index"]["recall"]
    assert (recall["all"]["judged"], recall["filtered"]["judged"], recall["unfiltered"]["judged"]) == (100, 100, 0)
    assert outside.json() == {"status": "ok"}


def test_the_age_of_heartbeats_is_that_of_the_freshest_of_a_kind(db):
    now = timezone.now()
    for name, kind, age in (("a", "web", 60), ("b", "web", 5), ("c", "indexing", 7), ("gone", "default", 90_000)):
        Heartbeat.objects.create(name=name, kind=kind, seen_at=now - timedelta(seconds=age))
    assert health_details.heartbeat_ages(now) == pytest.approx({"web": 5, "indexing": 7})


def hear_of(*kinds, age=3):
    for kind in kinds:
        seen_at = timezone.now() - timedelta(seconds=age)
        Heartbeat.objects.create(name=f"{kind} {age}", kind=kind, seen_at=seen_at)


def test_a_site_whose_workers_never_came_says_which_and_how_to_start_them(model):
    response = ready()
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    embedding, indexing, default = response.json()["problem"].split("; ")
    assert embedding == (
        "no embedding worker has been heard of, so new photos are not found: "
        "start one with `celery -A marketplace worker --pool=solo --queues=embedding`"
    )
    assert indexing.startswith("no indexing worker has been heard of, so ")
    assert default.startswith("no default worker has been heard of, so ")
    assert public(REMOTE_ADDR=OUTSIDE).json() == {"status": "ok"}


def test_a_worker_that_fell_silent_is_named_with_the_time_and_one_that_restarts_is_not(model):
    hear_of("embedding", "default", "beat")
    hear_of("embedding", age=4000)
    hear_of("indexing", age=90)
    hear_of("default", age=50)
    assert re.match(r"no indexing worker has been heard of for 9\d s, so [^;]+$", ready().json()["problem"])


def test_a_schedule_that_no_sweep_tells_of_is_a_problem_until_one_has_run(model):
    hear_of("embedding", "indexing", "default")
    assert ready().json()["problem"].startswith("no beat process has been heard of, so nothing happens by schedule")
    run_sweep()
    assert (ready().json()["status"], ready().json()["problem"]) == ("ok", None)


def test_workers_that_live_and_embed_nothing_and_a_broker_that_is_gone_are_problems(model, valkey):
    hear_of("embedding", "indexing", "default", "beat")
    make_image(make_listing(), data=b"x")
    Embedding.objects.update(created_at=timezone.now() - timedelta(minutes=7))
    assert "the oldest uploaded photo has waited for 7 minutes: see the log" in ready().json()["problem"]
    valkey.stop()
    try:
        assert ready().json()["problem"].startswith("the broker does not answer at REDIS_URL")
    finally:
        valkey.start()


def test_nothing_waiting_is_no_lag(model):
    assert ready().json()["details"]["upload_lag_seconds"] == 0


def test_details_name_the_workers_that_are_alive_and_how_long_ago_they_said_so(model):
    now = timezone.now()
    for name, kind, age in (("b", "embedding", 3), ("a", "web", 60), ("gone", "web", 90_000)):
        Heartbeat.objects.create(name=name, kind=kind, seen_at=now - timedelta(seconds=age))
    note_what_is_lost("a picture is missing", has_ended=False)
    beats = ready().json()["details"]["heartbeats"]
    assert list(health_details.heartbeat_ages(now)) == ["embedding", "web"]
    assert [(beat["name"], beat["kind"]) for beat in beats] == [("b", "embedding"), ("a", "web")]
    assert [beat["age_seconds"] for beat in beats] == pytest.approx([3, 60], abs=5)


@pytest.mark.django_db
def test_counting_stops_at_its_bound(monkeypatch):
    model = EmbeddingModel.objects.create(version="m", arch="a", dim=4, checkpoint="m", sha256="0", state="active")
    listing = make_listing()
    for _ in range(4):
        make_image(listing, data=b"x")
    monkeypatch.setattr(health_details, "COUNT_LIMIT", 3)
    assert health_details.queue_counts()["pending"]["upload"] == 3
    assert health_details.upload_lag([model.pk], timezone.now()) < 60


def test_probes_are_only_read(db):
    assert {Client().post(path).status_code for path in (LIVE, READY)} == {405}


def test_a_clock_that_was_set_back_makes_no_worker_heard_and_no_age_negative(model, settings):
    """Signs of life, snapshots and uploads of two hours from now are what is left of before."""
    later = timezone.now() + timedelta(hours=2)
    for kind in ("embedding", "indexing", "default", "beat"):
        Heartbeat.objects.create(name=kind, kind=kind, seen_at=later, detail={"note": "of another time"})
    make_image(make_listing())
    Embedding.objects.update(created_at=later)
    IndexSnapshot.objects.update(created_at=later)
    answer = ready().json()
    assert "no embedding worker has been heard of, so new photos are not found" in answer["problem"]
    assert "of another time" not in answer["problem"]
    assert answer["details"]["upload_lag_seconds"] == 0
    assert answer["details"]["heartbeats"] == []
    assert (answer["details"]["index"]["snapshot_age_s"] or 0) >= 0


def test_health_says_when_the_sweep_ran_last(model):
    Heartbeat.objects.create(name="beat", kind="beat", seen_at=timezone.now() - timedelta(seconds=40))
    assert ready().json()["details"]["sweep_age_seconds"] == pytest.approx(40, abs=10)
