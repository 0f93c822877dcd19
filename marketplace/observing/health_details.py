"""What health tells the people who run the site. Counts stop at a bound, so a long queue makes no slow answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TypedDict

import redis
from django.conf import settings
from django.db.models import Max, QuerySet
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry

from listings.limits.rates import are_hits_counted
from recommender.embedding.heartbeat import PICTURES
from recommender.embedding.worker_health import (
    FORGOTTEN,
    SILENT,
    beats_since,
    describe_absent_workers,
    describe_stuck_workers,
)
from recommender.models import Embedding, EmbeddingModel, Heartbeat

from .disks import list_disks

COUNT_LIMIT = 10_000
HEARTBEAT_LIMIT = 100
# Uploads that wait for longer wait for more than the photos before them.
LONG_WAIT = timedelta(minutes=5)


def collect_details() -> tuple[list[str], dict[str, object]]:
    """What is wrong outside the index, and the details."""
    now = timezone.now()
    models = load_live_models()
    lag, broker = upload_lag([model.pk for model in models], now), is_broker_reachable()
    problems = [*describe_absent_workers(now), *describe_stuck_workers(now)]
    problems += describe_stuck_messages(lag, broker_reachable=broker)
    disks = list_disks()
    problems += filter(None, (disk.describe_problem() for disk in disks))
    problems += describe_standstill(now)
    problems += [beat.detail["note"] for beat in Heartbeat.objects.filter(name=PICTURES)]
    if not are_hits_counted():
        problems.append("rates are not counted: the cache does not answer at CACHE_URL; log-ins are")
    return problems, {
        "models": [{"version": model.version, "state": model.state} for model in models],
        "queue": queue_counts(),
        "upload_lag_seconds": lag,
        "sweep_age_seconds": heartbeat_ages(now).get("beat"),
        "heartbeats": list_heartbeats(now),
        "broker_reachable": broker,
        "disks": [asdict(disk) for disk in disks],
    }


def describe_standstill(now: datetime) -> Iterator[str]:
    """Why embedding workers that live embed nothing, where something waits for them."""
    beats = beats_since(now - SILENT, now).filter(kind="embedding").order_by("name")
    notes = dict.fromkeys(beat.detail.get("note", "") for beat in beats[:HEARTBEAT_LIMIT])
    waiting = Embedding.objects.filter(state=Embedding.State.PENDING)
    for note in filter(None, notes):
        if waiting.exists():
            yield f"embedding stands still: {note}"


def describe_stuck_messages(lag: float, *, broker_reachable: bool) -> Iterator[str]:
    if not broker_reachable:
        yield "the broker does not answer at REDIS_URL: photos are saved, and embedded when it is back"
    elif lag > LONG_WAIT.total_seconds():
        yield (
            f"the oldest uploaded photo has waited for {lag / 60:,.0f} minutes: see the log of the embedding workers, "
            "and that they have the REDIS_URL of the web processes"
        )


def load_live_models() -> list[EmbeddingModel]:
    return list(EmbeddingModel.objects.live().only("version", "state"))


class QueueCounts(TypedDict):
    pending: dict[str, int]
    leased: int
    failed: int
    counted_up_to: int


def queue_counts() -> QueueCounts:
    """Waiting photos by lane, leased ones and failed ones. COUNT_LIMIT stands for that many or more."""
    pending = Embedding.objects.filter(state=Embedding.State.PENDING)
    return {
        "pending": {lane.name.lower(): count_up_to_limit(pending.filter(lane=lane)) for lane in Embedding.Lane},
        "leased": count_up_to_limit(Embedding.objects.filter(state=Embedding.State.LEASED)),
        "failed": count_up_to_limit(Embedding.objects.filter(state=Embedding.State.FAILED)),
        "counted_up_to": COUNT_LIMIT,
    }


def count_up_to_limit(rows: QuerySet[Embedding]) -> int:
    return rows.order_by()[:COUNT_LIMIT].count()


def upload_lag(models: list[int], now: datetime) -> float:
    """Seconds that the oldest uploaded photo has waited; 0 when none waits."""
    oldest = [
        Embedding.objects.filter(state=Embedding.State.PENDING, lane=Embedding.Lane.UPLOAD, model=model)
        .order_by("id")
        .values_list("created_at", flat=True)
        .first()
        for model in models
    ]
    return max([0.0, *((now - moment).total_seconds() for moment in oldest if moment)])


def list_heartbeats(now: datetime) -> list[dict[str, object]]:
    seen = beats_since(now - FORGOTTEN, now).order_by("kind", "name")
    return [
        {
            "name": beat.name,
            "kind": beat.kind,
            "age_seconds": max(0.0, round((now - beat.seen_at).total_seconds(), 1)),
            "note": beat.detail.get("note", ""),
        }
        for beat in seen[:HEARTBEAT_LIMIT]
    ]


def heartbeat_ages(now: datetime) -> dict[str, float]:
    """Seconds since any worker of a kind beat last, by kind."""
    latest = beats_since(now - FORGOTTEN, now).values("kind").annotate(latest=Max("seen_at"))
    return {row["kind"]: max(0.0, (now - row["latest"]).total_seconds()) for row in latest.order_by("kind")}


def is_broker_reachable() -> bool:
    timeout = settings.REDIS_TIMEOUT
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=timeout, socket_timeout=timeout, retry=Retry(NoBackoff(), 0)
        ) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError, ValueError):
        return False
