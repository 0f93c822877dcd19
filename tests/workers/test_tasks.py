"""Names and queues of the tasks, which messages of older versions and doorbells find them by, and their limits."""

from __future__ import annotations

import pytest
from celery import current_app

from recommender.embedding.doorbell import TASK
from recommender.embedding.queue import lease_rows
from recommender.models import Embedding
from tests.recommender.queue_rows import bulk_photos, make_model

QUEUES = {
    "workers.embedding.embed_pending": "embedding",
    "workers.indexing.compact": "indexing",
    "workers.maintenance.sweep": "default",
    "workers.maintenance.collect": "default",
}


@pytest.fixture(scope="module", autouse=True)
def imported():
    current_app.loader.import_default_modules()


@pytest.mark.parametrize(("name", "queue"), QUEUES.items())
def test_each_task_keeps_its_name_and_queue(name, queue):
    routed = current_app.amqp.router.route({}, name)["queue"].name
    assert (routed, current_app.tasks[name].ignore_result) == (queue, True)


@pytest.mark.parametrize(
    ("name", "limits"), [("workers.maintenance.sweep", (50, 60)), ("workers.maintenance.collect", (240, 300))]
)
def test_each_task_of_the_forking_pool_keeps_its_limits(name, limits):
    """Only a pool that forks can stop a child that works too long; a solo pool is the process itself."""
    task = current_app.tasks[name]
    assert (task.soft_time_limit, task.time_limit) == limits


def test_no_other_task_exists():
    ours = {name for name in current_app.tasks if name.startswith("workers.")}
    assert ours == set(QUEUES)


def test_the_doorbell_and_the_schedule_name_tasks_that_exist():
    scheduled = {entry["task"] for entry in current_app.conf.beat_schedule.values()}
    assert {TASK, *scheduled} <= set(current_app.tasks)


@pytest.mark.django_db(transaction=True)
def test_the_sweep_task_repairs_the_queue():
    bulk_photos(2)
    make_model()
    current_app.tasks["workers.maintenance.sweep"].apply()
    assert Embedding.objects.count() == 2


@pytest.mark.postgres_only
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_just_started", [True, False])
def test_a_sweep_that_can_take_nobody_for_dead_yet_is_repeated_soon(broker, monkeypatch, has_just_started):
    monkeypatch.setattr("recommender.embedding.lease_holders.RECONNECTED_SECONDS", 3_600 if has_just_started else 0.0)
    model = make_model()
    bulk_photos(1)
    lease_rows(model, 1, 60)
    broker.flushall()
    current_app.tasks["workers.maintenance.sweep"].apply()
    assert broker.llen("default") == has_just_started
