"""What is wrong with the worker processes, in words for the people who run the site; asks the database, no broker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, QuerySet

from recommender.models import Heartbeat

from .heartbeat import PICTURES
from .lease_holders import find_living_holders

# Longer than a worker takes to start again, so that a restart is no alarm.
SILENT = timedelta(seconds=60)
# Of one whose process is still there, so that it neither starts nor ends.
STUCK = timedelta(seconds=20)
# A worker that has been silent for longer counts as taken away on purpose, so health no longer lists it.
FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True)
class WorkerRole:
    """`without` says what does not happen while nobody plays the role."""

    kind: str
    name: str
    without: str
    command: str

    def describe_absence(self, silence: timedelta | None) -> str:
        lately = f" for {silence.total_seconds():,.0f} s" if silence else ""
        command = f"celery -A marketplace {self.command}"
        return f"no {self.name} has been heard of{lately}, so {self.without}: start one with `{command}`"


ROLES = (
    WorkerRole("embedding", "embedding worker", "new photos are not found", "worker --pool=solo --queues=embedding"),
    WorkerRole(
        "indexing", "indexing worker", "the index files are not rewritten", "worker --pool=solo --queues=indexing"
    ),
    WorkerRole(
        "default", "default worker", "what went wrong is not tried again", "worker --queues=default --concurrency=1"
    ),
)
# Its sign of life is that sweeps run, which needs a worker that runs them.
SCHEDULE = WorkerRole("beat", "beat process", "nothing happens by schedule", "beat")


def beats_since(moment: datetime, now: datetime) -> QuerySet[Heartbeat]:
    """Signs of life since a moment. One of the future was written before the clock was set back, and tells nothing."""
    return Heartbeat.objects.filter(seen_at__gte=moment, seen_at__lt=now + SILENT).exclude(kind=PICTURES)


def count_workers(now: datetime) -> dict[str, int]:
    """How many processes of each kind were heard of a moment ago."""
    heard = beats_since(now - SILENT, now).values_list("kind").annotate(Count("name"))
    return {role.kind: 0 for role in (*ROLES, SCHEDULE)} | dict(heard.order_by("kind"))


def describe_absent_workers(now: datetime) -> Iterator[str]:
    """One clause for each kind of process that a site needs and that is not heard of."""
    recent = beats_since(now - FORGOTTEN, now).values_list("kind")
    seen = dict(recent.annotate(Max("seen_at")).order_by("kind"))
    roles = (*ROLES, SCHEDULE) if is_heard("default", seen, now) else ROLES
    for role in roles:
        if not is_heard(role.kind, seen, now):
            last = seen.get(role.kind)
            yield role.describe_absence(now - last if last else None)


def describe_stuck_workers(now: datetime) -> Iterator[str]:
    """One clause for each embedding worker that fell silent and has not ended: who is killed holds no number."""
    silent = beats_since(now - FORGOTTEN, now).filter(kind="embedding", seen_at__lt=now - STUCK).order_by("name")
    holders = {beat.name: (beat, beat.detail.get("holder")) for beat in silent}
    living = find_living_holders(number for _, number in holders.values() if number is not None)
    for name, (beat, number) in holders.items():
        if number in living:
            seconds = (now - beat.seen_at).total_seconds()
            yield (
                f"the embedding worker {name} has been silent for {seconds:,.0f} s and has not ended: it is stopped or "
                f"hangs; let it go on (`kill -CONT {beat.detail['pid']}`), or end it (`kill -9`)"
            )


def is_heard(kind: str, seen: dict[str, datetime], now: datetime) -> bool:
    return kind in seen and now - seen[kind] < SILENT
