"""Rules between settings: a system check, and a refusal at worker start-up, because workers may skip checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery.signals import worker_init
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

LONGEST_REDIS_TIMEOUT = 0.5


def broken_rules(values: Any) -> Iterator[str]:
    """One sentence for each rule that these settings break."""
    if values.EMBED_SLICE_SECONDS >= values.WORKER_STOP_GRACE_SECONDS:
        yield (
            f"EMBED_SLICE_SECONDS ({values.EMBED_SLICE_SECONDS:g}) must be less than WORKER_STOP_GRACE_SECONDS "
            f"({values.WORKER_STOP_GRACE_SECONDS:g}), or a worker told to stop is killed in the middle of a slice."
        )
    if values.EMBED_SLICE_SECONDS >= values.EMBED_LEASE_SECONDS:
        yield (
            f"EMBED_SLICE_SECONDS ({values.EMBED_SLICE_SECONDS:g}) must be less than EMBED_LEASE_SECONDS "
            f"({values.EMBED_LEASE_SECONDS:g}), or leases of a healthy worker run out."
        )
    if values.CELERY_TASK_SOFT_TIME_LIMIT >= values.CELERY_TASK_TIME_LIMIT:
        yield (
            f"CELERY_TASK_SOFT_TIME_LIMIT ({values.CELERY_TASK_SOFT_TIME_LIMIT:g}) must be less than "
            f"CELERY_TASK_TIME_LIMIT ({values.CELERY_TASK_TIME_LIMIT:g})."
        )
    visibility = values.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    if visibility <= values.CELERY_TASK_TIME_LIMIT:
        yield (
            f"CELERY_TASK_TIME_LIMIT ({values.CELERY_TASK_TIME_LIMIT:g}) must be less than the broker's "
            f"visibility_timeout ({visibility:g}), or a task that still runs is delivered again."
        )
    if values.REDIS_TIMEOUT > LONGEST_REDIS_TIMEOUT:
        yield (
            f"REDIS_TIMEOUT ({values.REDIS_TIMEOUT:g}) must be at most {LONGEST_REDIS_TIMEOUT:g}: "
            "every save waits that long for a broker that does not answer."
        )


@register()
def check_settings(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    return [
        Error(sentence, id=f"marketplace.E{number:03}") for number, sentence in enumerate(broken_rules(settings), 1)
    ]


@worker_init.connect
def refuse_broken_settings(**kwargs: object) -> None:
    """SystemExit, because Celery logs any other exception of a handler and goes on."""
    if broken := list(broken_rules(settings)):
        raise SystemExit("\n".join(broken))
