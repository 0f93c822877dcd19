"""How far a model is from answering: what it has embedded, what is left, and which sentences say why it cannot yet."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from django.db.models import Count, Q

from listings.models import ListingImage
from ml.catalogue.counts import describe_count
from recommender import feed, lineage
from recommender.embedding import sweep
from recommender.embedding.queue import MAX_FAILURES
from recommender.models import Embedding, EmbeddingModel, IndexHead, IndexSnapshot

from .calibration import needs_calibration

# FEW_PHOTOS, or one photo in FEW_SHARE where that is more, may never get a vector and yet keep no model from answering.
FEW_PHOTOS = 10
FEW_SHARE = 100


@dataclass(frozen=True)
class BackfillCounts:
    """How many photos one model has embedded, and why it has not embedded the others.

    `open` photos are queued, leased, or failed with retries left. `missing` ones have no row in the queue yet; the
    sweep makes it. `rejected` and `failed` ones have no vector, and waiting does not give them one.
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

    @property
    def max_photos_without_vector(self) -> int:
        """How many photos may lack a vector while the model may answer all the same."""
        return max(FEW_PHOTOS, self.photos // FEW_SHARE)


@dataclass(frozen=True)
class BackfillProgress(BackfillCounts):
    """The counts, the rows of the model's newest snapshot or None without one, and why it cannot be activated now."""

    snapshot_rows: int | None
    ready: bool
    blockers: list[str]


def measure_progress(model: EmbeddingModel) -> BackfillProgress:
    """Count without changing anything. Photos that are uploaded meanwhile are seen by the next call."""
    counts = count_photos(model)
    newest = lineage.published_snapshots(model.pk).first()
    blockers = find_activation_blockers(model, counts, newest, IndexHead.load())
    rows = newest.rows if newest else None
    return BackfillProgress(**asdict(counts), snapshot_rows=rows, ready=not blockers, blockers=blockers)


def count_photos(model: EmbeddingModel) -> BackfillCounts:
    """Count in two statements: the rows of the queue, and the photos without a row."""
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
    return BackfillCounts(photos=photos, missing=sweep.photos_without_row(model).count(), **rows)


def find_activation_blockers(
    model: EmbeddingModel, counts: BackfillCounts, newest: IndexSnapshot | None, head: IndexHead
) -> list[str]:
    """What keeps the model from being activated, a sentence each. It must have embedded every photo in the queue."""
    blockers = _find_blockers(model, counts, newest, head, most_waiting=0)
    # Where nothing answers yet there is no blocker, and nobody waits for a curve either.
    if not model.is_active and EmbeddingModel.objects.active().exists() and needs_calibration(model):
        blockers.append(
            f"Nobody knows what a cosine of {model.version} means; run `manage.py models calibrate {model.version}`."
        )
    return blockers


def find_rollback_blockers(
    model: EmbeddingModel, counts: BackfillCounts, newest: IndexSnapshot | None, head: IndexHead
) -> list[str]:
    """As `find_activation_blockers`, but a few photos may still wait: who rolls back wants the other model gone."""
    return _find_blockers(model, counts, newest, head, most_waiting=counts.max_photos_without_vector)


def _find_blockers(
    model: EmbeddingModel, counts: BackfillCounts, newest: IndexSnapshot | None, head: IndexHead, most_waiting: int
) -> list[str]:
    if model.is_active:
        return [f"{model.version} is active already."]
    if not EmbeddingModel.objects.active().exists():
        return []  # nothing answers yet, so no answer gets worse
    if not model.is_live:
        blocker = (
            f"{model.version} is {model.state}; run `manage.py models backfill {model.version}` first, "
            "so that it has embedded every photo before it answers."
        )
        return [blocker]
    return [
        *_find_photo_blockers(model, counts, most_waiting),
        *_find_snapshot_blockers(model, counts, newest, head),
    ]


def _find_photo_blockers(model: EmbeddingModel, counts: BackfillCounts, most_waiting: int) -> list[str]:
    blockers = []
    if counts.waiting > most_waiting:
        blockers.append(
            f"{counts.waiting:,} of {describe_count(counts.photos, 'photo')} are not embedded by {model.version} yet; "
            "try again when they are."
        )
    # A photo whose retries are exhausted keeps no model waiting: one lost file would do so for ever. Where there are
    # many, the model is at fault, and their listings would vanish from every answer.
    if counts.failed > counts.max_photos_without_vector:
        blockers.append(
            f"{counts.failed:,} of {describe_count(counts.photos, 'photo')} could not be embedded by {model.version} "
            f"in {MAX_FAILURES} tries each; the admin says why. Mend that, then embed them again."
        )
    return blockers


def _find_snapshot_blockers(
    model: EmbeddingModel, counts: BackfillCounts, newest: IndexSnapshot | None, head: IndexHead
) -> list[str]:
    if newest is None:
        # An empty site needs no snapshot: readers start from the feed alone, as long as nothing of it was pruned.
        if not counts.photos and feed.covers_horizon(feed.ZERO, head.horizon):
            return []
        return [f"There is no index of {model.version} yet; the indexing worker makes it within a minute."]
    if not feed.covers_horizon(newest.position, head.horizon):
        blocker = (
            f"Snapshot {newest.pk} of {model.version} is behind the pruned part of the feed; "
            "the indexing worker makes another one within a minute."
        )
        return [blocker]
    return []
