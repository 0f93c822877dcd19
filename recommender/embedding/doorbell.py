"""Waking an embedding worker. A ring carries no work: losing, repeating or reordering it changes latency only.

It may be called from any save, so it is coalesced by a flag of two seconds and bounded in time, and it never raises: a
broker that is down costs one timeout, then nothing for a second.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from typing import Any

import redis
from celery import current_app
from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

TASK = "workers.embedding.embed_pending"
QUEUE = "embedding"
FLAG = "doorbell:embedding"
FLAG_SECONDS = 2
EXPIRES_SECONDS = 60  # rings nobody answered are dropped; the sweep rings every 5 s
BREAK_SECONDS = 1.0

TROUBLE = (redis.RedisError, OperationalError, OSError)

_silent_until = 0.0


def ring() -> bool:
    """Whether a message was sent; not, when one is under way already or the broker does not answer."""
    if time.monotonic() < _silent_until:
        return False
    try:
        if not _flags().set(FLAG, 1, nx=True, ex=FLAG_SECONDS):
            return False
        _publish()
    except TROUBLE as exc:
        _break(exc)
        return False
    return True


def answer() -> None:
    """Clear the flag before looking for work, so that whoever saves after the look rings again."""
    if time.monotonic() < _silent_until:
        return
    try:
        _flags().delete(FLAG)
    except TROUBLE as exc:
        _break(exc)


def _break(exc: Exception) -> None:
    global _silent_until  # noqa: PLW0603 - one breaker a process
    _silent_until = time.monotonic() + BREAK_SECONDS
    logger.warning("The broker does not answer (%s); the sweep wakes the worker later.", exc)


def _flags() -> redis.Redis:
    return _client(settings.REDIS_URL, settings.REDIS_TIMEOUT)


@lru_cache(maxsize=1)
def _client(url: str, timeout: float) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_connect_timeout=timeout, socket_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )


def _publish() -> None:
    """Over a connection of its own: Celery's pool would wait and retry for minutes."""
    with Connection(settings.CELERY_BROKER_URL, transport_options=_bounded(settings.REDIS_TIMEOUT / 2)) as connection:
        current_app.send_task(
            TASK, queue=QUEUE, connection=connection, retry=False, ignore_result=True, expires=EXPIRES_SECONDS
        )


def _bounded(timeout: float) -> dict[str, Any]:
    return {
        **settings.CELERY_BROKER_TRANSPORT_OPTIONS,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": 0,
        "max_retries": 0,
    }
