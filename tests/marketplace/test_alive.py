from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from recommender.embedding.heartbeat import HeartbeatThread
from recommender.models import Heartbeat

pytestmark = pytest.mark.django_db


def test_a_worker_that_just_beat_is_alive():
    HeartbeatThread("embedding").write_beat()
    call_command("alive", "embedding")


@pytest.mark.parametrize("kind", ["indexing", "default"])
def test_a_worker_of_another_kind_does_not_count(kind):
    HeartbeatThread("embedding").write_beat()
    with pytest.raises(CommandError, match=f"No {kind} worker"):
        call_command("alive", kind)


def test_an_old_heartbeat_does_not_count():
    HeartbeatThread("embedding").write_beat()
    Heartbeat.objects.update(seen_at=timezone.now() - timedelta(seconds=31))
    with pytest.raises(CommandError, match="in the last 30 s"):
        call_command("alive", "embedding")


def test_a_worker_on_another_host_does_not_count():
    HeartbeatThread("embedding").write_beat()
    Heartbeat.objects.update(detail={"host": "elsewhere"})
    with pytest.raises(CommandError):
        call_command("alive", "embedding")


@pytest.mark.parametrize("seconds", [0, -1, 10**12])
def test_an_age_that_makes_no_sense_is_refused(seconds):
    with pytest.raises(CommandError, match=f"--seconds is {seconds}"):
        call_command("alive", "embedding", seconds=seconds)
