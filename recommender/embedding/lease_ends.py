"""Leases that are over: by time, by the end of the worker that held them, or because the clock was set back."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, When
from django.db.models.functions import Now

from listings.models import ListingImage
from recommender.models import Embedding

from .lease_holders import find_dead_holders
from .queue import CRASHED, EXPIRED, EXPIRIES_ALONE, MAX_FAILURES, PhotoState, State, make_pending, time_from_now

# How much longer than its whole length a lease may still have, before the clock is taken to have been set back.
CLOCK_SLACK = 5.0


def requeue_or_give_up_ended_rows() -> int:
    """Queue rows whose lease is over, to be retried alone. A photo that ends a worker alone three times is given up.

    The first time that a worker is killed, what it held goes back to where it was: most workers die of something else
    than a photo, and one after another its rows would wait behind everybody who saves meanwhile.
    """
    leased = Embedding.objects.filter(state=State.LEASED, leased_until__isnull=False)
    holders = set(leased.values_list("holder", flat=True))
    if not holders:
        return 0
    cut_leases_of_the_future(leased)
    dead = find_dead_holders(holder for holder in holders if holder is not None)
    ended = leased.filter(Q(leased_until__lt=Now()) | Q(holder__in=dead))
    if not ended.exists():
        return 0
    with transaction.atomic():
        given_up = _reject_or_fail_rows(ended.filter(reason=EXPIRED, attempts__gte=EXPIRIES_ALONE))
        unsuspected = ended.filter(leased_until__gte=Now(), attempts=0).exclude(reason=EXPIRED)
        returned = _queue_again(unsuspected, attempts=0)
        attempts = Case(When(reason=EXPIRED, then=F("attempts") + 1), default=1)
        return given_up + returned + _queue_again(ended, lane=Embedding.Lane.RETRY, attempts=attempts)


def release_forgotten_rows(holder: int | None) -> int:
    """Give back untried what is leased to a worker that holds nothing now: the answer to the lease was lost on its way,
    when the database stopped just after it had written it."""
    return 0 if holder is None else make_pending(Embedding.objects.filter(state=State.LEASED, holder=holder))


def _queue_again(rows: QuerySet[Embedding], **changes: object) -> int:
    return rows.update(
        state=State.PENDING,
        token=None,
        holder=None,
        leased_until=None,
        reason=EXPIRED,
        updated_at=Now(),
        **changes,
    )


def cut_leases_of_the_future(leased: QuerySet[Embedding]) -> int:
    """Let no lease last longer than its length from now: one that does was given before the clock was set back.

    Its worker may be alive, and then renews it; the rows are not blamed for the clock.
    """
    seconds = settings.EMBED_LEASE_SECONDS
    beyond = leased.filter(leased_until__gt=Now() + timedelta(seconds=seconds + CLOCK_SLACK))
    return beyond.update(leased_until=time_from_now(seconds)) if beyond.exists() else 0


def _reject_or_fail_rows(doomed: QuerySet[Embedding]) -> int:
    """Reject photos that were never decoded. One that was is not at fault: its row fails and waits for a person."""
    image_ids = sorted(doomed.values_list("image_id", flat=True))
    if not image_ids:
        return 0
    # Photos are locked before queue rows, in the order of their ids, as `store_results` does: two transactions that
    # lock in the same order never wait for each other in a circle.
    locked = ListingImage.objects.select_for_update(no_key=True).filter(pk__in=image_ids).order_by("pk")
    new = [pk for pk, state in locked.values_list("pk", "state") if state != PhotoState.READY]
    settled: dict[str, object] = {
        "token": None,
        "holder": None,
        "leased_until": None,
        "reason": CRASHED,
        "updated_at": Now(),
    }
    rejected = doomed.filter(image__in=new).update(state=State.REJECTED, vector=None, **settled)
    blamed = Embedding.objects.filter(image=OuterRef("pk"), state=State.REJECTED, reason=CRASHED)
    ListingImage.objects.filter(Exists(blamed), pk__in=new).update(state=PhotoState.REJECTED, reason=CRASHED)
    return rejected + doomed.update(state=State.FAILED, attempts=MAX_FAILURES, **settled)
