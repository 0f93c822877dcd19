"""The queue: `Embedding` rows are leased, renewed and released by token and database time (`results` settles them).

A worker that lost its lease changes nothing: results are updates of rows still held, and what it wrote to disk for the
others is deleted. Queue queries never read the vector column.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Case, DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, When
from django.db.models.fields import BooleanField
from django.db.models.functions import Now

from listings.models import ListingImage
from recommender.models import Embedding, EmbeddingModel

State, Lane = Embedding.State, Embedding.Lane

EXPIRED = "The worker that held this row stopped answering."
EXPIRIES_ALONE = 3
CRASHED = f"Reading this photo stopped the program {EXPIRIES_ALONE} times. Save it again as a JPEG and upload that."
MAX_FAILURES = 8


@dataclass(frozen=True)
class Row:
    """What decoding one leased photo needs; names are storage names, "" where there is no such file yet."""

    pk: int
    image_id: int
    listing_id: int
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


class Waiting(NamedTuple):
    """The lanes in which a live model has pending rows, most urgent first."""

    model: EmbeddingModel
    lanes: tuple[int, ...]


def waiting() -> list[Waiting]:
    """Every live model with pending rows: one query, one index probe per model and lane."""
    found = [Waiting(model, _lanes(model)) for model in _with_lanes()]
    return [entry for entry in found if entry.lanes]


def pick(entries: Sequence[Waiting], *, starving: bool) -> EmbeddingModel:
    """The model whose rows come next: of the best lane, the active model first; when starving, the other end."""

    def urgency(entry: Waiting) -> tuple[int, int]:
        rank = EmbeddingModel.EMBEDDING_ORDER.index(EmbeddingModel.State(entry.model.state))
        return entry.lanes[-1 if starving else 0], rank

    return (max if starving else min)(entries, key=urgency).model


def lease(
    model: EmbeddingModel, limit: int, seconds: float, *, starving: bool = False, beside: bool = False
) -> Lease | None:
    """Take up to `limit` rows of one lane: the best non-empty one, or the worst when `starving`.

    A row that was tried before is leased alone, and never `beside` others in the same process, so that a photo which
    kills its worker names itself. Rows without a vector wait while the model embeds the same bytes for another: a
    copy is cheaper.
    """
    token = uuid.uuid4()
    with transaction.atomic():
        for claim in _claims(model, limit, starving=starving):
            if beside and claim.tried:
                return None
            taken = Embedding.objects.filter(pk__in=claim.ids, state=State.PENDING).update(
                state=State.LEASED, token=token, leased_until=_from_now(seconds), updated_at=Now()
            )
            if taken:
                return Lease(token, model.pk, _rows(claim.ids, token), seconds)
    return None


def renew(held: Lease) -> int:
    """Start the lease's time again; the number of rows still held."""
    return rows_held(held).update(leased_until=_from_now(held.seconds))


def release(held: Lease) -> int:
    """Give the rows back untried: what stopped the work was not theirs."""
    return rows_held(held).update(state=State.PENDING, token=None, leased_until=None, updated_at=Now())


def return_expired() -> int:
    """Put rows whose lease ran out back, to be retried alone; the third time alone is the photo's own doing."""
    expired = Embedding.objects.filter(state=State.LEASED, leased_until__lt=Now())
    if not expired.exists():
        return 0
    with transaction.atomic():
        given_up = _give_up(expired.filter(reason=EXPIRED, attempts__gte=EXPIRIES_ALONE))
        return given_up + expired.update(
            state=State.PENDING,
            lane=Lane.RETRY,
            token=None,
            leased_until=None,
            attempts=Case(When(reason=EXPIRED, then=F("attempts") + 1), default=1),
            reason=EXPIRED,
            updated_at=Now(),
        )


def embed_again(images: QuerySet[ListingImage]) -> int:
    """Queue these photos for every live model; their vectors stay searchable until successors are stored."""
    settled = Embedding.objects.filter(
        image__in=images.values("pk"),
        model__state__in=EmbeddingModel.LIVE,
        state__in=(State.DONE, State.FAILED, State.REJECTED),
    )
    return settled.update(state=State.PENDING, lane=Lane.RETRY, attempts=0, reason="", updated_at=Now())


def is_leasable(model: EmbeddingModel) -> bool:
    """Whether a lease would find rows now."""
    return _leasable(model).exists()


def is_anything_pending() -> bool:
    return Embedding.objects.filter(state=State.PENDING, model__state__in=EmbeddingModel.LIVE).exists()


def _pending() -> QuerySet[Embedding]:
    return Embedding.objects.filter(state=State.PENDING)


def _leasable(model: EmbeddingModel) -> QuerySet[Embedding]:
    leased = Embedding.objects.filter(state=State.LEASED, leased_until__isnull=False)  # the index's few rows
    held = {sha256 for pk, sha256 in leased.values_list("model_id", "image__sha256") if pk == model.pk}
    return _pending().filter(model=model).exclude(image__sha256__in=held, vector__isnull=True)


def rows_held(held: Lease) -> QuerySet[Embedding]:
    """What is still ours of a lease."""
    return Embedding.objects.filter(pk__in=[row.pk for row in held.rows], token=held.token, state=State.LEASED)


def _from_now(seconds: float) -> ExpressionWrapper:
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())


def _with_lanes() -> QuerySet[EmbeddingModel]:
    return EmbeddingModel.objects.live().annotate(
        **{f"lane_{lane}": Exists(_pending().filter(model=OuterRef("pk"), lane=lane)) for lane in Lane.values}
    )


def _lanes(model: EmbeddingModel) -> tuple[int, ...]:
    return tuple(lane for lane in Lane.values if getattr(model, f"lane_{lane}"))


class Claim(NamedTuple):
    """Locked rows of one lane; `tried` is a single one whose attempt was not the first."""

    ids: list[int]
    tried: bool


def _claims(model: EmbeddingModel, limit: int, *, starving: bool) -> Iterator[Claim]:
    """Candidates, best first: in each lane fresh rows, then one that was tried before; all reversed when starving.

    The model's row is locked, so that two workers do not take copies of the same bytes at the same instant.
    """
    locked = _with_lanes().filter(pk=model.pk).select_for_update(of=("self",), no_key=True)
    lanes = [lane for live in locked for lane in _lanes(live)]
    choices = [(lane, tried) for lane in lanes for tried in (False, True)]
    leasable = _leasable(model)
    for lane, tried in reversed(choices) if starving else choices:
        attempts = Q(attempts__gt=0) if tried else Q(attempts=0)
        rows = leasable.filter(attempts, lane=lane).order_by("pk")
        rows = rows.select_for_update(skip_locked=True, of=("self",))
        if ids := list(rows.values_list("pk", flat=True)[: 1 if tried else limit]):
            yield Claim(ids, tried)


def _rows(ids: list[int], token: uuid.UUID) -> tuple[Row, ...]:
    found = (
        Embedding.objects.filter(pk__in=ids, token=token)
        .annotate(has_vector=ExpressionWrapper(Q(vector__isnull=False), output_field=BooleanField()))
        .order_by("pk")
        .values_list(
            "pk",
            "image_id",
            "image__listing_id",
            "image__sha256",
            "image__original",
            "image__clean_file",
            "image__state",
            "has_vector",
            "attempts",
        )
    )
    return tuple(Row(*row[:6], row[6] == ListingImage.State.READY, *row[7:]) for row in found)


def _give_up(doomed: QuerySet[Embedding]) -> int:
    """Reject new photos; one that was decoded before is not at fault, so its row fails and waits for a person."""
    image_ids = sorted(doomed.values_list("image_id", flat=True))
    if not image_ids:
        return 0
    locked = ListingImage.objects.select_for_update(no_key=True).filter(pk__in=image_ids).order_by("pk")
    new = [pk for pk, state in locked.values_list("pk", "state") if state != ListingImage.State.READY]
    settled: dict[str, Any] = {"token": None, "leased_until": None, "reason": CRASHED, "updated_at": Now()}
    rejected = doomed.filter(image__in=new).update(state=State.REJECTED, vector=None, **settled)
    blamed = Embedding.objects.filter(image=OuterRef("pk"), state=State.REJECTED, reason=CRASHED)
    ListingImage.objects.filter(Exists(blamed), pk__in=new).update(state=ListingImage.State.REJECTED, reason=CRASHED)
    return rejected + doomed.update(state=State.FAILED, attempts=MAX_FAILURES, **settled)
