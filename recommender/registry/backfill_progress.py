"""How far a model is from answering: what it has embedded, what is left, and what stands in the way in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q

from listings.models import ListingImage
from recommender import feed, lineage
from recommender.embedding import sweep
from recommender.embedding.queue import MAX_FAILURES
from recommender.models import Embedding, EmbeddingModel, IndexHead, IndexSnapshot

State = EmbeddingModel.State

FEW_PHOTOS = 10  # this many, or one in a hundred, may stay without a vector for good
FEW_SHARE = 100


@dataclass(frozen=True)
class Counts:
    """Photos by what one model has made of them; `rejected` and `failed` have no vector and never get one by waiting.

    `open`: queued, leased or failed with retries left · `missing`: photos without a queue row, which the sweep makes.
    """

    photos: int
    done: int
    open: int
    rejected: int
    failed: int
    missing: int

    @property
    def waiting(self) -> int:
        return self.open + self.missing

    def is_few(self, photos: int) -> bool:
        return photos <= max(FEW_PHOTOS, self.photos // FEW_SHARE)


@dataclass(frozen=True)
class Progress(Counts):
    """Counts, the rows of the model's newest snapshot (None: there is none), and why it cannot be activated now."""

    snapshot_rows: int | None
    ready: bool
    blockers: list[str]


def progress(model: EmbeddingModel) -> Progress:
    """Read-only, and a moment's truth: photos that are uploaded meanwhile count from the next call on."""
    counted = count(model)
    newest = lineage.published(model.pk).first()
    blockers = blockers_of(model, counted, newest, IndexHead.load())
    return Progress(
        **vars(counted), snapshot_rows=newest.rows if newest else None, ready=not blockers, blockers=blockers
    )


def count(model: EmbeddingModel) -> Counts:
    """Two statements: the queue's rows, and the photos that have none."""
    without = Q(vector__isnull=True)
    exhausted = without & Q(state=Embedding.State.FAILED, attempts__gte=MAX_FAILURES)
    rejected = without & Q(state=Embedding.State.REJECTED)
    rows = Embedding.objects.filter(model=model).aggregate(
        done=Count("pk", filter=~without),
        open=Count("pk", filter=without & ~exhausted & ~rejected),
        rejected=Count("pk", filter=rejected),
        failed=Count("pk", filter=exhausted),
    )
    photos = ListingImage.objects.exclude(state=ListingImage.State.REJECTED).count()
    return Counts(photos=photos, missing=sweep.missing(model).count(), **rows)


def blockers_of(
    model: EmbeddingModel, counted: Counts, newest: IndexSnapshot | None, head: IndexHead, *, patient: bool = True
) -> list[str]:
    """What keeps the model from answering, a sentence each; empty when nothing does.

    `patient` waits for every photo in the queue; a rollback does not, as long as they are few.
    A photo whose retries are exhausted keeps no model waiting, or one lost file would for ever; many of them do, for
    then the model is at fault and its listings would vanish.
    """
    if model.is_active:
        return [f"{model.version} is active already."]
    if not EmbeddingModel.objects.active().exists():
        return []  # nothing answers yet, so nothing is lost
    found = []
    if model.state in (State.CANDIDATE, State.RETIRED):
        found.append(
            f"{model.version} is {model.state}; run `manage.py models backfill {model.version}` first, "
            "so that it has embedded every photo before it answers."
        )
        return found
    if counted.waiting and (patient or not counted.is_few(counted.waiting)):
        found.append(
            f"{counted.waiting:,} of {counted.photos:,} photos are not embedded by {model.version} yet; "
            "try again when they are."
        )
    if not counted.is_few(counted.failed):
        found.append(
            f"{counted.failed:,} of {counted.photos:,} photos could not be embedded by {model.version} in "
            f"{MAX_FAILURES} tries each; the admin says why. Mend that, then embed them again."
        )
    if newest is None and (counted.photos or not feed.covers(feed.ZERO, head.horizon)):
        found.append(f"There is no index of {model.version} yet; the indexing worker makes it within a minute.")
    if newest is not None and not feed.covers(newest.position, head.horizon):
        found.append(
            f"Snapshot {newest.pk} of {model.version} is behind the pruned part of the feed; "
            "the indexing worker makes another one within a minute."
        )
    return found
