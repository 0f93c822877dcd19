"""Names, queues and limits of the tasks; messages of older versions, and doorbells, find them by these."""

from __future__ import annotations

import pytest
from celery import current_app

from recommender.embedding.doorbell import TASK
from recommender.models import Embedding
from tests.recommender.queue_rows import bulk_photos, make_model


@pytest.fixture(scope="module", autouse=True)
def imported():
    current_app.loader.import_default_modules()


@pytest.mark.parametrize(
    ("name", "queue", "limits"),
    [
        ("workers.embedding.embed_pending", "embedding", (240, 300)),
        ("workers.indexing.compact", "indexing", (240, 300)),
        ("workers.maintenance.sweep", "default", (50, 60)),
        ("workers.maintenance.collect", "default", (240, 300)),
    ],
)
def test_each_task_keeps_its_name_queue_and_limits(name, queue, limits):
    task = current_app.tasks[name]
    routed = current_app.amqp.router.route({}, name)["queue"].name
    assert (routed, (task.soft_time_limit, task.time_limit), task.ignore_result) == (queue, limits, True)


def test_no_other_task_exists():
    ours = {name for name in current_app.tasks if name.startswith("workers.")}
    assert len(ours) == 4


def test_the_doorbell_and_the_schedule_name_tasks_that_exist():
    scheduled = {entry["task"] for entry in current_app.conf.beat_schedule.values()}
    assert {TASK, *scheduled} <= set(current_app.tasks)


@pytest.mark.django_db(transaction=True)
def test_the_sweep_task_repairs_the_queue():
    bulk_photos(2)
    make_model()
    current_app.tasks["workers.maintenance.sweep"].apply()
    assert Embedding.objects.count() == 2
