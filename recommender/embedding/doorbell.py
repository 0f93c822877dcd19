"""Waking an embedding worker. A ring carries no work: losing, repeating or reordering it changes latency only.

It may be called from any save, so it is coalesced by a flag of two seconds and bounded in time, and it never raises: a
broker that is down costs one timeout, then nothing for a second.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu import Connection
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

TASK = "workers.embedding.embed_pending"
QUEUE = "embedding"
FLAG = "doorbell:embedding"
FLAG_SECONDS = 2
EXPIRES_SECONDS = 60  # without workers, rings must not pile up in the broker; the sweep rings again every 5 s
BREAK_SECONDS = 1.0

TROUBLE = (redis.RedisError, OperationalError, OSError)


class Doorbell:
    """One process's way to the broker, which is left alone for a moment after it did not answer."""

    def __init__(self) -> None:
        self._paused_until = 0.0

    def ring(self) -> bool:
        """Whether a message was sent; not, when one is under way already or the broker does not answer."""
        if self._is_broker_paused():
            return False
        try:
            # The flag makes one message of many rings: a seller may save a hundred photos in a second.
            if not _get_client().set(FLAG, 1, nx=True, ex=FLAG_SECONDS):
                return False
            publish_task()
        except TROUBLE as exc:
            self._pause_broker(exc)
            return False
        return True

    def clear_flag(self) -> None:
        """Clear the flag before looking for work, so that whoever saves after the look rings again."""
        if self._is_broker_paused():
            return
        try:
            _get_client().delete(FLAG)
        except TROUBLE as exc:
            self._pause_broker(exc)

    def end_broker_pause(self) -> None:
        """Ask the broker again at once."""
        self._paused_until = 0.0

    def _is_broker_paused(self) -> bool:
        return time.monotonic() < self._paused_until

    def _pause_broker(self, exc: Exception) -> None:
        self._paused_until = time.monotonic() + BREAK_SECONDS
        logger.warning("The broker does not answer (%s); the sweep wakes the worker later.", exc)


doorbell = Doorbell()


def ring_for_new_photo(created: bool, **kwargs: object) -> None:
    """Receive `post_save` of a photo."""
    if created:
        ring_after_commit()


def ring_after_commit(**kwargs: object) -> None:
    """Receive `photos_added`. A worker that came before the commit would find nothing to do."""
    # Robust, because the photo is saved by then: no trouble with the broker may fail the request.
    transaction.on_commit(doorbell.ring, robust=True)


def _get_client() -> redis.Redis:
    return _make_client(settings.REDIS_URL, settings.REDIS_TIMEOUT)


@lru_cache(maxsize=1)
def _make_client(url: str, timeout: float) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_connect_timeout=timeout, socket_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )


def publish_task() -> None:
    """Send the task over a connection of its own: Celery's pool would wait and retry for minutes."""
    options = _transport_options(settings.REDIS_TIMEOUT / 2)
    with Connection(settings.CELERY_BROKER_URL, transport_options=options) as connection:
        current_app.send_task(
            TASK, queue=QUEUE, connection=connection, retry=False, ignore_result=True, expires=EXPIRES_SECONDS
        )


def _transport_options(timeout: float) -> dict[str, object]:
    return {
        **settings.CELERY_BROKER_TRANSPORT_OPTIONS,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": 0,
        "max_retries": 0,
    }
