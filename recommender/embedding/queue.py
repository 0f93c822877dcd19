"""The queue: `Embedding` rows are leased, renewed and released by token and database time; sellers take turns.

A worker that lost its lease changes nothing: results are updates of rows still held, and what it wrote to disk for the
others is deleted. Queue queries never read the vector column.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import zip_longest
from typing import NamedTuple

from django.db import transaction
from django.db.models import DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet
from django.db.models.fields import BooleanField
from django.db.models.functions import Now

from listings.models import ListingImage
from recommender.models import Embedding, EmbeddingModel

State, Lane, PhotoState = Embedding.State, Embedding.Lane, ListingImage.State
SETTLED = State.DONE, State.FAILED, State.REJECTED

# The reason of a row whose lease ran out: attempts that may have stopped a worker are counted apart from failures.
EXPIRED = "The worker that held this row stopped answering."
EXPIRIES_ALONE = 3
CRASHED = f"Reading this photo stopped the program {EXPIRIES_ALONE} times. Save it again as a JPEG and upload that."
MAX_FAILURES = 8

# A micro-batch takes at most so many uploads of one seller: who saves a photo meanwhile waits for it.
UPLOADS_OF_A_SELLER = 16
# How often a lease looks past a seller who has more rows than fit. Sellers it does not come to are first in the next.
LOOKS = 8

LANE_FLAGS = {lane: f"has_pending_{lane.name.lower()}" for lane in Lane}


@dataclass(frozen=True)
class Row:
    """What decoding one leased photo needs. `original` and `clean` are storage names, "" where there is no file."""

    pk: int
    image_id: int
    listing_id: int
    seller_id: int
    sha256: str
    original: str
    clean: str
    ready: bool
    has_vector: bool
    attempts: int


@dataclass(frozen=True)
class Lease:
    token: uuid.UUID
    model_id: int
    rows: tuple[Row, ...]
    seconds: float
    last_seller: int = 0

    def keep_rows(self, rows: Iterable[Row]) -> Lease:
        """The same lease of some of its rows."""
        return replace(self, rows=tuple(rows))


class Turn(NamedTuple):
    """Who leases, by the number that others can ask after, and who had the last turn before."""

    holder: int | None = None
    last_seller: int = 0
    passed_over: frozenset[int] = frozenset()  # sellers who have enough in work


FIRST_TURN = Turn()


class Waiting(NamedTuple):
    """The lanes in which a live model has pending rows, most urgent first."""

    model: EmbeddingModel
    lanes: tuple[int, ...]


def list_pending_models() -> list[Waiting]:
    """Every live model with pending rows: one query, one index probe per model and lane."""
    found = [Waiting(model, _pending_lanes_of(model)) for model in _models_with_lane_flags()]
    return [entry for entry in found if entry.lanes]


def pick_model(entries: Sequence[Waiting], *, low_priority: bool) -> EmbeddingModel:
    """The model with the most urgent lane, the active model first among equals; with `low_priority` the last one."""

    def urgency(entry: Waiting) -> tuple[int, int]:
        rank = EmbeddingModel.EMBEDDING_ORDER.index(EmbeddingModel.State(entry.model.state))
        return entry.lanes[-1 if low_priority else 0], rank

    return (max if low_priority else min)(entries, key=urgency).model


def lease_rows(
    model: EmbeddingModel,
    limit: int,
    seconds: float,
    *,
    low_priority: bool = False,
    others_in_flight: bool = False,
    turn: Turn = FIRST_TURN,
) -> Lease | None:
    """Lease up to `limit` rows of one lane: the most urgent that has any, or the least urgent with `low_priority`.

    Sellers take turns, a row of each, beginning behind the one who had the last turn. The lease says who had it now.
    A row that was tried before is leased alone, and never with `others_in_flight` in the same process: if its photo
    kills the worker, no other photo can be to blame. Rows without a vector wait while the model embeds the same bytes
    for another row, because a copy is cheaper.
    """
    token = uuid.uuid4()
    with transaction.atomic():
        for claim in _lock_claims(model, limit, turn, low_priority=low_priority):
            if others_in_flight and claim.is_retry:
                return None
            # No row is leased twice, because the condition on the state is checked again here. Locks only save work.
            leased = Embedding.objects.filter(pk__in=claim.ids, state=State.PENDING).update(
                state=State.LEASED,
                token=token,
                holder=turn.holder,
                leased_until=time_from_now(seconds),
                updated_at=Now(),
            )
            if leased:
                return Lease(token, model.pk, _read_rows(claim.ids, token), seconds, claim.last_seller)
    return None


def renew_lease(lease: Lease) -> int:
    """Start the lease's time again. Returns the number of rows still held."""
    return held_rows(lease).update(leased_until=time_from_now(lease.seconds))


def release_rows(lease: Lease) -> int:
    """Give the rows back untried: what stopped the work was no fault of theirs."""
    return make_pending(held_rows(lease))


def make_pending(leased: QuerySet[Embedding]) -> int:
    return leased.update(state=State.PENDING, token=None, holder=None, leased_until=None, updated_at=Now())


def requeue_photos(images: QuerySet[ListingImage], states: Collection[str] = SETTLED) -> int:
    """Queue these photos for every live model; their vectors stay searchable until successors are stored."""
    settled = Embedding.objects.filter(
        image__in=images.values("pk"), model__state__in=EmbeddingModel.LIVE, state__in=states
    )
    return settled.update(state=State.PENDING, lane=Lane.RETRY, attempts=0, reason="", updated_at=Now())


def requeue_embedded_photos(photos: Collection[int]) -> int:
    """Queue those of these photos that are embedded; one that failed is tried again in its own time, or no more."""
    return requeue_photos(ListingImage.objects.filter(pk__in=photos), [State.DONE])


def is_anything_leased() -> bool:
    """Whether any row is leased, by whomever."""
    return Embedding.objects.filter(state=State.LEASED, leased_until__isnull=False).exists()


def has_leasable_rows(model: EmbeddingModel) -> bool:
    """Whether a lease would find rows now."""
    return _leasable_rows(model).exists()


def is_anything_pending() -> bool:
    return Embedding.objects.filter(state=State.PENDING, model__state__in=EmbeddingModel.LIVE).exists()


def pending_rows() -> QuerySet[Embedding]:
    return Embedding.objects.filter(state=State.PENDING)


def _leasable_rows(model: EmbeddingModel) -> QuerySet[Embedding]:
    # These two conditions are met by the partial index on `leased_until`, which holds the few rows that are leased now.
    # A condition on the model would make the planner read all rows of the model instead.
    leased = Embedding.objects.filter(state=State.LEASED, leased_until__isnull=False)
    computed_now = {sha256 for pk, sha256 in leased.values_list("model_id", "image__sha256") if pk == model.pk}
    return pending_rows().filter(model=model).exclude(image__sha256__in=computed_now, vector__isnull=True)


def held_rows(lease: Lease) -> QuerySet[Embedding]:
    """The rows of a lease that are still held: it may have run out, and others may have leased them."""
    return Embedding.objects.filter(pk__in=[row.pk for row in lease.rows], token=lease.token, state=State.LEASED)


def time_from_now(seconds: float) -> ExpressionWrapper:
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())


def _models_with_lane_flags() -> QuerySet[EmbeddingModel]:
    """The live models; `LANE_FLAGS` names what says, for each lane, whether there are pending rows."""
    return EmbeddingModel.objects.live().annotate(
        **{flag: Exists(pending_rows().filter(model=OuterRef("pk"), lane=lane)) for lane, flag in LANE_FLAGS.items()}
    )


def _pending_lanes_of(model: EmbeddingModel) -> tuple[int, ...]:
    return tuple(lane for lane, flag in LANE_FLAGS.items() if getattr(model, flag))


class Claim(NamedTuple):
    """Locked rows of one lane that have not been tried, or one row that has."""

    ids: list[int]
    is_retry: bool
    last_seller: int


def _lock_claims(model: EmbeddingModel, limit: int, turn: Turn, *, low_priority: bool) -> Iterator[Claim]:
    """What may be leased, the most urgent first: in each lane rows that were not tried, then one that was.

    With `low_priority` the least urgent lane is first, and retries before others in their lane. Looking for retries in
    other lanes, where there are none, would read all their rows.
    """
    # The model's row is locked, so that two workers do not lease copies of the same bytes at the same instant. The lock
    # leaves the key of the row free, or whoever inserts a queue row of this model would have to wait.
    locked = _models_with_lane_flags().filter(pk=model.pk).select_for_update(of=("self",), no_key=True)
    lanes = [lane for live in locked for lane in _pending_lanes_of(live)]
    choices = [
        (lane, is_retry)
        for lane in (reversed(lanes) if low_priority else lanes)
        for is_retry in ((True, False) if low_priority and lane == Lane.RETRY else (False, True))
    ]
    leasable = _leasable_rows(model).exclude(seller_id__in=turn.passed_over)
    for lane, is_retry in choices:
        attempts = Q(attempts__gt=0) if is_retry else Q(attempts=0)
        rows = leasable.filter(attempts, lane=lane)
        # Rows that somebody has locked, such as those of a photo that is being deleted, are passed over and not waited
        # for.
        rows = rows.select_for_update(skip_locked=True, of=("self",))
        waiting = _read_ahead(rows, 1 if is_retry else limit, turn.last_seller)
        if waiting:
            share = UPLOADS_OF_A_SELLER if lane == Lane.UPLOAD else limit
            ids = _take_in_turns([ids[:share] for ids in waiting.values()])[: 1 if is_retry else limit]
            yield Claim(ids, is_retry, list(waiting)[: len(ids)][-1])


def _read_ahead(rows: QuerySet[Embedding], limit: int, last_seller: int) -> dict[int, list[int]]:
    """The first rows of the sellers behind the last one, then of those before; each seller's in the order of their ids.

    A look reads the next `limit` rows in the order of an index, and the one after it begins behind their last seller:
    whoever has a million rows costs no more than a page of them.
    """
    waiting: dict[int, list[int]] = defaultdict(list)
    behind, sellers = last_seller, Q()
    for _ in range(LOOKS):
        ahead = rows.filter(sellers, seller_id__gt=behind).order_by("seller_id", "pk")
        page = list(ahead.values_list("seller_id", "pk")[:limit])
        for seller, pk in page:
            waiting[seller].append(pk)
        if len(page) == limit:
            behind = page[-1][0]
        elif not sellers:
            behind, sellers = -1, Q(seller_id__lte=last_seller)
        else:
            break
        if len(waiting) >= limit or (sellers and behind >= last_seller):
            break
    return waiting


def _take_in_turns(waiting: Sequence[Sequence[int]]) -> list[int]:
    """The first of each, then the second of each, and so on."""
    return [pk for turn in zip_longest(*waiting) for pk in turn if pk is not None]


def _read_rows(ids: list[int], token: uuid.UUID) -> tuple[Row, ...]:
    # The vector itself is not read, because it is wide and only its being there matters.
    found = (
        Embedding.objects.filter(pk__in=ids, token=token)
        .order_by("pk")
        .values(
            "pk",
            "image_id",
            "attempts",
            "seller_id",
            listing_id=F("image__listing_id"),
            sha256=F("image__sha256"),
            original=F("image__original"),
            clean=F("image__clean_file"),
            ready=_as_boolean(Q(image__state=PhotoState.READY)),
            has_vector=_as_boolean(Q(vector__isnull=False)),
        )
    )
    return tuple(Row(**row) for row in found)


def _as_boolean(condition: Q) -> ExpressionWrapper:
    return ExpressionWrapper(condition, output_field=BooleanField())
