"""What keeps the queue and the storage tidy (pool: prefork, which enforces the limits); loads no model and no index."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from listings.api.tokens import forget_expired_tokens
from listings.limits.idempotency import forget_old_keys
from listings.limits.log_ins import forget_old_tries
from listings.models import Listing
from recommender.embedding.heartbeat import record_schedule_alive
from recommender.embedding.sweep import collect_garbage, sweep_queue

# More than an hour, after which it is looked for again: an upgrade restarts web processes last, and until then those of
# the older version save listings that no search by words would find.
REFOLDED = timedelta(hours=3)


@shared_task(name="workers.maintenance.sweep", ignore_result=True, soft_time_limit=50, time_limit=60)
def run_sweep() -> None:
    record_schedule_alive()
    sweep_queue()


@shared_task(name="workers.maintenance.collect", ignore_result=True, soft_time_limit=240, time_limit=300)
def run_garbage_collection() -> None:
    Listing.objects.filter(updated_at__gte=timezone.now() - REFOLDED).refold_words()
    forget_old_tries()
    forget_old_keys()
    forget_expired_tokens()
    collect_garbage()
