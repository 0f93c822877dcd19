"""What a worker that ended had leased is given back at once, and nothing of one that lives is."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from recommender.embedding import lease_ends, queue
from recommender.embedding.lease_holders import LeaseHolder, find_dead_holders
from recommender.embedding.queue import EXPIRED, Lane, Turn
from recommender.embedding.worker_health import describe_stuck_workers
from recommender.models import Embedding, Heartbeat
from tests.fakes import FakeEmbedder
from tests.recommender.queue_rows import bulk_photos, loop_with, make_model, make_photos, states
from tests.servers.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _grown_up_sessions(monkeypatch):
    monkeypatch.setattr("recommender.embedding.lease_holders.RECONNECTED_SECONDS", 0)


@contextmanager
def other_worker():
    """A process that holds a number, and then does nothing."""
    context = multiprocessing.get_context("fork")
    numbers = context.Queue()
    connection.close()  # or the child would end the session of its parent

    def hold() -> None:
        holder = LeaseHolder()
        holder.hold()
        numbers.put(holder.number)
        signal.pause()

    process = context.Process(target=hold)
    process.start()
    try:
        yield process.pid, numbers.get(timeout=20)
    finally:
        process.kill()
        process.join()


def die(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def wait_until_dead(number: int) -> None:
    wait_for(lambda: find_dead_holders([number]))


def test_rows_of_a_killed_worker_are_given_back_at_once_and_those_of_others_are_not():
    model = make_model()
    bulk_photos(4)
    own = LeaseHolder()
    with other_worker() as (pid, number):
        own.hold()
        queue.lease_rows(model, 2, 60, turn=Turn(number))
        mine = queue.lease_rows(model, 1, 60, turn=Turn(own.number))
        unmarked = queue.lease_rows(model, 1, 60)
        assert lease_ends.requeue_or_give_up_ended_rows() == 0
        die(pid)
        wait_until_dead(number)
        assert lease_ends.requeue_or_give_up_ended_rows() == 2
    assert states() == {"leased": 2, "pending": 2}
    rows = Embedding.objects.filter(state="pending").values_list("lane", "attempts", "token", "holder", "reason")
    assert set(rows) == {(Lane.IMPORT, 0, None, None, EXPIRED)}
    assert queue.renew_lease(mine) == queue.renew_lease(unmarked) == 1
    own.let_go()


def test_rows_that_a_worker_does_not_know_to_be_leased_to_it_are_embedded_at_its_next_turn():
    """A database that stops after it has written a lease, and before it says so, leaves such rows."""
    model = make_model()
    make_photos(2)
    holder = LeaseHolder()
    holder.hold()
    forgotten = queue.lease_rows(model, 1, 60, turn=Turn(holder.number))
    of_another = queue.lease_rows(model, 1, 60, turn=Turn())
    loop_with(FakeEmbedder(), holder).run_slice(30)
    assert states() == {"done": 1, "leased": 1}
    assert queue.renew_lease(forgotten) == 0
    assert queue.renew_lease(of_another) == 1
    holder.let_go()


def test_what_was_held_by_two_killed_workers_is_retried_alone():
    """A photo may be what killed them; after one, most likely none is."""
    model = make_model()
    bulk_photos(3)
    for _ in range(2):
        with other_worker() as (pid, number):
            assert len(queue.lease_rows(model, 3, 60, turn=Turn(number)).rows) == 3
            die(pid)
            wait_until_dead(number)
            assert lease_ends.requeue_or_give_up_ended_rows() == 3
    rows = Embedding.objects.values_list("lane", "attempts", "reason")
    assert set(rows) == {(Lane.RETRY, 1, EXPIRED)}
    assert len(queue.lease_rows(model, 3, 60).rows) == 1


def test_a_stopped_worker_keeps_its_rows_until_its_lease_is_over():
    model = make_model()
    bulk_photos(1)
    with other_worker() as (pid, number):
        queue.lease_rows(model, 1, 60, turn=Turn(number))
        os.kill(pid, signal.SIGSTOP)
        assert lease_ends.requeue_or_give_up_ended_rows() == 0
        Embedding.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        assert lease_ends.requeue_or_give_up_ended_rows() == 1


def test_health_names_a_worker_that_is_stopped_and_none_that_was_killed():
    seen_at = timezone.now() - timedelta(seconds=35)
    with other_worker() as (pid, number):
        for name, holder in (("stopped", number), ("killed", 5), ("older", None)):
            detail = {"pid": pid, "holder": holder}
            Heartbeat.objects.create(name=name, kind="embedding", seen_at=seen_at, detail=detail)
        os.kill(pid, signal.SIGSTOP)
        (sentence,) = describe_stuck_workers(timezone.now())
        assert sentence.startswith("the embedding worker stopped has been silent for 35 s and has not ended")
        assert f"`kill -CONT {pid}`" in sentence
        die(pid)
        wait_until_dead(number)
        assert not list(describe_stuck_workers(timezone.now()))


def test_a_holder_marks_leases_only_while_it_is_held():
    holder = LeaseHolder()
    assert holder.number is None
    holder.hold()
    number = holder.number
    assert number is not None
    assert find_dead_holders([number, 5]) == {5}
    holder.let_go()
    connection.close()
    assert holder.number is None
    wait_until_dead(number)


@pytest.mark.skipif(connection.vendor == "postgresql", reason="PostgreSQL needs no folder")
def test_a_number_is_held_wherever_the_database_lies(tmp_path, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "NAME", tmp_path / "memory-shop.sqlite3")
    holder = LeaseHolder()
    holder.hold()
    assert find_dead_holders([holder.number, 5]) == {5}
    holder.let_go()


@pytest.mark.postgres_only
def test_a_session_that_was_lost_is_held_again_by_the_next_beat():
    holder = LeaseHolder()
    holder.hold()
    number = holder.number
    connection.close()
    wait_until_dead(number)
    holder.hold()
    assert holder.number == number
    assert find_dead_holders([number]) == set()


@pytest.mark.postgres_only
def test_nobody_is_dead_while_every_session_is_young(monkeypatch):
    monkeypatch.setattr("recommender.embedding.lease_holders.RECONNECTED_SECONDS", 3600)
    assert find_dead_holders([5]) == set()


def test_a_lease_of_the_future_ends_a_lease_from_now_and_blames_nobody(settings):
    """The clock was set back by two hours after the lease."""
    settings.EMBED_LEASE_SECONDS = 60
    model = make_model()
    bulk_photos(1)
    lease = queue.lease_rows(model, 1, 60)
    Embedding.objects.update(leased_until=F("leased_until") + timedelta(hours=2))
    assert lease_ends.requeue_or_give_up_ended_rows() == 0
    left = Embedding.objects.get().leased_until - timezone.now()
    assert timedelta(seconds=50) < left < timedelta(seconds=61)
    assert queue.renew_lease(lease) == 1
