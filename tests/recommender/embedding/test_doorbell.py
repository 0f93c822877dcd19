from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from django.db import transaction

from listings.models import ListingImage
from listings.photos.signals import photos_added
from marketplace.paths import socket_url
from marketplace.settings.environment import derive_celery_url
from recommender.embedding.doorbell import BREAK_SECONDS, FLAG, TROUBLE, doorbell, publish_task
from tests.factories import make_image, make_listing


@pytest.fixture
def broker_at(settings):
    """Point the doorbell at another broker."""

    def at(url: str) -> None:
        settings.REDIS_URL = url
        settings.CELERY_BROKER_URL = derive_celery_url(url)

    return at


@pytest.fixture
def deaf_port():
    """A TCP port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


@pytest.fixture
def half_deaf_port(broker):
    """A TCP port in front of the real broker that goes silent after the flag was set."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        stop = threading.Event()

        def serve() -> None:
            first, _ = server.accept()
            with first, socket.socket(socket.AF_UNIX) as real:
                real.connect(broker.connection_pool.connection_kwargs["path"])
                real.settimeout(0.05)
                first.settimeout(0.05)
                while not stop.is_set():
                    for source, target in ((first, real), (real, first)):
                        try:
                            if data := source.recv(65536):
                                target.sendall(data)
                        except TimeoutError:
                            continue

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        stop.set()
        thread.join()


def seconds(call) -> float:
    start = time.perf_counter()
    assert call() is not True
    return time.perf_counter() - start


def test_a_ring_sends_the_task_by_name_to_the_embedding_queue(broker):
    assert doorbell.ring() is True
    message = json.loads(broker.lindex("embedding", 0))
    assert message["headers"]["task"] == "workers.embedding.embed_pending"
    assert message["headers"]["expires"] is not None


def test_rings_are_coalesced_until_they_are_answered(broker):
    rings = [doorbell.ring() for _ in range(5)]
    assert rings == [True, False, False, False, False]
    assert broker.llen("embedding") == 1
    assert 0 < broker.pttl(FLAG) <= 2000
    doorbell.clear_flag()
    assert doorbell.ring() is True
    assert broker.llen("embedding") == 2


def test_a_dead_socket_costs_no_time_and_raises_nothing(broker_at, tmp_path):
    broker_at(socket_url(tmp_path / "nobody.sock"))
    assert seconds(doorbell.ring) < 0.1
    doorbell.end_broker_pause()
    assert seconds(doorbell.clear_flag) < 0.1


def test_a_broker_that_accepts_and_never_answers_costs_one_timeout(broker_at, deaf_port):
    broker_at(f"redis://127.0.0.1:{deaf_port}")
    assert 0.25 < seconds(doorbell.ring) < 0.5
    doorbell.end_broker_pause()
    assert seconds(doorbell.clear_flag) < 0.5


def test_publishing_to_a_broker_that_never_answers_gives_up(broker_at, deaf_port, tmp_path):
    """Kombu retries for ever by default, at more than one place."""
    broker_at(f"redis://127.0.0.1:{deaf_port}")
    start = time.perf_counter()
    with pytest.raises(TROUBLE):
        publish_task()
    assert time.perf_counter() - start < 0.5
    broker_at(socket_url(tmp_path / "nobody.sock"))
    with pytest.raises(TROUBLE):
        publish_task()


def test_a_broker_that_falls_silent_between_flag_and_message_costs_half_a_second(broker_at, half_deaf_port):
    broker_at(f"redis://127.0.0.1:{half_deaf_port}")
    assert seconds(doorbell.ring) < 0.7


def test_after_a_failure_the_broker_is_left_alone_for_a_second(broker_at, deaf_port, settings, broker):
    good = settings.REDIS_URL
    broker_at(f"redis://127.0.0.1:{deaf_port}")
    doorbell.ring()
    assert seconds(doorbell.ring) < 0.01
    broker_at(good)
    assert doorbell.ring() is False
    time.sleep(BREAK_SECONDS)
    assert doorbell.ring() is True


@pytest.mark.django_db(transaction=True)
class TestWhoRings:
    def test_a_saved_photo_rings_after_the_commit(self, broker):
        listing = make_listing()
        with transaction.atomic():
            make_image(listing)
            assert broker.llen("embedding") == 0
        assert broker.llen("embedding") == 1

    def test_a_rolled_back_photo_does_not_ring(self, broker):
        listing = make_listing()
        with transaction.atomic():
            make_image(listing)
            transaction.set_rollback(True)
        assert broker.llen("embedding") == 0

    def test_a_changed_photo_does_not_ring(self, broker):
        image = make_image(make_listing())
        broker.flushall()
        image.position = 3
        image.save(update_fields=["position"])
        assert broker.llen("embedding") == 0

    def test_a_bulk_path_rings_once_through_the_signal(self, broker):
        listing = make_listing()
        ListingImage.objects.bulk_create([ListingImage(listing=listing, sha256="0" * 64) for _ in range(5)])
        assert broker.llen("embedding") == 0
        photos_added.send(sender=None)
        assert broker.llen("embedding") == 1

    def test_a_save_succeeds_within_a_second_while_the_broker_never_answers(self, broker_at, deaf_port):
        listing = make_listing()
        broker_at(f"redis://127.0.0.1:{deaf_port}")
        start = time.perf_counter()
        make_image(listing)
        assert time.perf_counter() - start < 1
        assert ListingImage.objects.count() == 1
