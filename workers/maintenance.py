"""What keeps the queue and the storage tidy (pool: prefork, which enforces the limits); loads no model and no index."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from listings.api.sent_again import forget_old_keys
from listings.api.tokens import forget_expired_tokens
from listings.limits.log_ins import forget_old_tries
from listings.models import Listing
from listings.photos.lost_pictures import PicturesUnmounted, Round
from ml.per_process import PerProcess
from recommender.embedding.doorbell import TROUBLE
from recommender.embedding.heartbeat import note_what_is_lost, record_schedule_alive
from recommender.embedding.lease_holders import RECONNECTED_SECONDS, are_workers_connecting
from recommender.embedding.queue import is_anything_leased, requeue_embedded_photos
from recommender.embedding.sweep import collect_garbage, sweep_queue

# More than an hour, after which it is looked for again: an upgrade restarts web processes last, and until then those of
# the older version save listings that no search by words would find.
REFOLDED = timedelta(hours=3)

own_round = PerProcess(Round)


@shared_task(name="workers.maintenance.sweep", ignore_result=True, soft_time_limit=50, time_limit=60)
def run_sweep() -> None:
    record_schedule_alive()
    sweep_queue()
    look_for_lost_pictures()
    if is_anything_leased() and are_workers_connecting():
        # What the dead had leased waits no longer than it must. Without a broker the schedule's next sweep does it.
        with suppress(*TROUBLE):
            run_sweep.apply_async(countdown=RECONNECTED_SECONDS, expires=2 * RECONNECTED_SECONDS, retry=False)


def look_for_lost_pictures() -> None:
    """Look at some photos more, have made anew what is gone, and leave health a note of it."""
    way = own_round.get()
    try:
        waiting, has_ended = way.repair_further()
        requeue_embedded_photos(waiting)
        note = way.found.describe(are_repaired=True)
    except PicturesUnmounted as exc:
        note, has_ended = str(exc), True
    note_what_is_lost(note, has_ended=has_ended)
    if has_ended:
        own_round.forget()


@shared_task(name="workers.maintenance.collect", ignore_result=True, soft_time_limit=240, time_limit=300)
def run_garbage_collection() -> None:
    Listing.objects.filter(updated_at__gte=timezone.now() - REFOLDED).refold_words()
    forget_old_tries()
    forget_old_keys()
    forget_expired_tokens()
    collect_garbage()
