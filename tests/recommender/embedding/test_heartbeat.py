from __future__ import annotations

import errno
import os
import time

import pytest
from django.db import connection
from django.utils import timezone

from recommender.embedding.heartbeat import HeartbeatThread
from recommender.embedding.lease_holders import LeaseHolder
from recommender.models import Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def heart():
    heart = HeartbeatThread("embedding", lambda: {"doing": "waiting"}, period=0.05)
    yield heart
    heart.stop()


def eventually(check, seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "It did not happen in time."
        time.sleep(0.02)


def rename(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_a_heart_says_who_it_is_and_what_it_does(heart):
    heart.start()
    eventually(Heartbeat.objects.exists)
    beat = Heartbeat.objects.get()
    assert (beat.kind, beat.detail["pid"], beat.detail["doing"]) == ("embedding", os.getpid(), "waiting")
    assert abs((timezone.now() - beat.seen_at).total_seconds()) < 5


def test_a_heart_goes_on_beating_in_one_row(heart):
    heart.start()
    eventually(Heartbeat.objects.exists)
    first = Heartbeat.objects.get().seen_at
    eventually(lambda: Heartbeat.objects.get().seen_at > first)


def test_a_heart_outlives_trouble_with_the_database(heart):
    heart.start()
    eventually(Heartbeat.objects.exists)
    rename("recommender_heartbeat", "away")
    try:
        time.sleep(0.2)
    finally:
        rename("away", "recommender_heartbeat")
    back = timezone.now()
    eventually(lambda: Heartbeat.objects.get().seen_at > back)


def test_a_heart_outlives_trouble_with_the_disk_that_holds_its_number():
    class OnFullDisk(LeaseHolder):
        troubles = iter([OSError(errno.ENOSPC, "No space left on device")] * 2)

        def hold(self):
            for trouble in self.troubles:
                raise trouble
            super().hold()

        def let_go(self):
            super().let_go()
            raise OSError(errno.EROFS, "Read-only file system")

    heart = HeartbeatThread("embedding", period=0.05, holder=OnFullDisk())
    heart.start()
    eventually(Heartbeat.objects.exists)
    assert Heartbeat.objects.get().detail["holder"]
    heart.stop()
    assert not Heartbeat.objects.exists()


def test_a_worker_that_ends_in_order_takes_its_row_away(heart):
    heart.start()
    eventually(Heartbeat.objects.exists)
    heart.stop()
    assert not Heartbeat.objects.exists()
