"""Models and vectors, the change feed, snapshots of the index, and rankers.

`Embedding` is the queue of photos to embed as well as the store of vectors; `IndexHead` is the only pointer to what is
served.

The database triggers of migration 0002 write `IndexChange` and `Embedding` rows for every change of a listing or
photo, by whatever path it came.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Case, Q, QuerySet, When
from django.utils import timezone

from listings.models import ListingImage

from .ranker_weights import WeightsInvalid, check_weights

UNTRAINED = "untrained"  # what a recipe says of weights that learned nothing, which show that a site works

LONGEST_ID = 18  # digits; any number of so many fits into a 64-bit column, while some of 19 make the database raise


class EmbeddingModelQuerySet(models.QuerySet["EmbeddingModel"]):
    def live(self) -> EmbeddingModelQuerySet:
        """The models that every photo is embedded by."""
        return self.filter(state__in=EmbeddingModel.LIVE)

    def active(self) -> EmbeddingModelQuerySet:
        """The model that answers, as rows: a constraint allows one at most, and a new site has none."""
        return self.filter(state=EmbeddingModel.State.ACTIVE)

    def find_active(self) -> EmbeddingModel | None:
        """The model that answers, or None on a new site."""
        return self.active().first()

    def in_indexing_order(self) -> EmbeddingModelQuerySet:
        ranks = [When(state=state, then=rank) for rank, state in enumerate(EmbeddingModel.INDEXING_ORDER)]
        return self.order_by(Case(*ranks), "pk")


class EmbeddingModel(models.Model):
    class State(models.TextChoices):
        CANDIDATE = "candidate"
        BACKFILLING = "backfilling"
        ACTIVE = "active"
        STANDBY = "standby"
        RETIRED = "retired"

    LIVE = (State.BACKFILLING, State.ACTIVE, State.STANDBY)

    # The active model comes first everywhere. The other two change places: an index is kept up to date for a rollback
    # before a new one is built, which can take minutes, but photos are embedded first by the model somebody waits for.
    INDEXING_ORDER = (State.ACTIVE, State.STANDBY, State.BACKFILLING)
    EMBEDDING_ORDER = (State.ACTIVE, State.BACKFILLING, State.STANDBY)

    version = models.CharField(max_length=64, unique=True)
    arch = models.CharField(max_length=32)
    dim = models.PositiveIntegerField()
    recipe = models.JSONField(default=dict)
    checkpoint = models.CharField(max_length=200, help_text="Directory below MODELS_ROOT that holds the weights.")
    sha256 = models.CharField(max_length=64)
    metrics = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=11, choices=State, default=State.CANDIDATE)
    created_at = models.DateTimeField(default=timezone.now)
    activated_at = models.DateTimeField(null=True, blank=True)

    objects = EmbeddingModelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="active"), name="one_active_model"),
        ]

    def __str__(self) -> str:
        return f"{self.version} ({self.state})"

    @property
    def directory(self) -> Path:
        """Where its recipe, its weights and its graph are."""
        return settings.MODELS_ROOT / self.checkpoint

    @property
    def is_untrained(self) -> bool:
        return self.recipe.get("weights") == UNTRAINED

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE

    @property
    def is_active(self) -> bool:
        return self.state == self.State.ACTIVE


class Calibration(models.Model):
    """What one model's cosines mean: the file that `ml.inference.calibration` reads, and what it was fitted on.

    A table of its own, so that whoever reads models does not read half a megabyte with each.
    """

    model = models.OneToOneField(EmbeddingModel, models.CASCADE, related_name="calibration")
    data = models.BinaryField(editable=False)
    basis = models.CharField(max_length=8, help_text="What the curve was fitted on.")
    pairs = models.PositiveIntegerField()
    error = models.FloatField(null=True, help_text="Expected calibration error on pairs that it was not fitted on.")
    made_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"calibration of model {self.model_id} on {self.basis}"


class Embedding(models.Model):
    """One photo's vector under one model, and its place in the queue.

    A vector stays searchable until its successor is stored, whatever `state` says meanwhile. It is a wide column that
    PostgreSQL keeps out of line (migration 0002), so queue queries stay narrow: select columns by name.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        LEASED = "leased"
        DONE = "done"
        FAILED = "failed"
        REJECTED = "rejected"

    class Lane(models.IntegerChoices):
        UPLOAD = 0
        RETRY = 1
        IMPORT = 2
        BACKFILL = 3

    image = models.ForeignKey(ListingImage, models.CASCADE, related_name="embeddings")
    # An index on the model alone would only harm: nearly every row has the same model, and yet SQLite would begin
    # every query with that index.
    model = models.ForeignKey(EmbeddingModel, models.CASCADE, related_name="embeddings", db_index=False)
    state = models.CharField(max_length=8, choices=State, default=State.PENDING)
    lane = models.PositiveSmallIntegerField(choices=Lane, default=Lane.UPLOAD)
    # Whose photo it was when it was queued, so that sellers take turns; 0 where nobody wrote it down.
    seller_id = models.BigIntegerField(default=0, db_default=0, editable=False)
    token = models.UUIDField(null=True, editable=False)
    leased_until = models.DateTimeField(null=True, editable=False)
    # Which worker holds a leased row, by the number that others can ask after (`lease_holders`).
    holder = models.BigIntegerField(null=True, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    reason = models.CharField(max_length=200, blank=True, editable=False)
    vector = models.BinaryField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "model"], name="one_embedding_per_image_and_model")]
        indexes = [
            models.Index(fields=["lane", "model", "id"], condition=Q(state="pending"), name="embedding_pending"),
            models.Index(
                fields=["lane", "model", "seller_id", "id"], condition=Q(state="pending"), name="embedding_turns"
            ),
            models.Index(fields=["leased_until"], condition=Q(state="leased"), name="embedding_leased"),
            models.Index(fields=["state", "updated_at"], condition=Q(state="failed"), name="embedding_failed"),
        ]

    def __str__(self) -> str:
        return f"embedding {self.pk} of photo {self.image_id} ({self.state})"


class IndexChange(models.Model):
    """A row of the change feed: it says which listing changed, never how.

    Its ids are plain integers, because no cascade may delete a row before readers have seen it.

    `model_id` NULL: attributes or photos changed; else a vector of that model. PostgreSQL adds a column `xid xid8`
    (migration 0002); a position in the feed is then a database snapshot, elsewhere the largest id seen.
    """

    listing_id = models.BigIntegerField()
    model_id = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return f"change {self.pk} of listing {self.listing_id}"


class IndexSnapshot(models.Model):
    class State(models.TextChoices):
        BUILDING = "building"
        PUBLISHED = "published"
        RETIRED = "retired"
        DAMAGED = "damaged"

    model = models.ForeignKey(EmbeddingModel, models.PROTECT, related_name="snapshots")
    directory = models.CharField(max_length=120, unique=True)
    position = models.TextField(help_text="Everything before this feed position is inside.")
    rows = models.PositiveIntegerField(default=0)
    segments = models.JSONField(default=list)
    recall = models.FloatField(null=True, blank=True, help_text="Measured; 1.0 for exact structures.")
    state = models.CharField(max_length=9, choices=State, default=State.BUILDING)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"snapshot {self.pk} ({self.state})"


class IndexHead(models.Model):
    """The one row that names the snapshot in use, the history it belongs to, and who holds the compactor's lease."""

    snapshot = models.ForeignKey(IndexSnapshot, models.PROTECT, null=True, related_name="+")
    epoch = models.UUIDField(default=uuid.uuid4)
    horizon = models.TextField(default="", help_text="Feed rows before this position are pruned.")
    token = models.UUIDField(null=True)
    token_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"head at snapshot {self.snapshot_id}"

    @classmethod
    def row(cls) -> QuerySet[Self]:
        """The one row, for updates that change it only under a condition."""
        return cls.objects.filter(pk=1)

    @classmethod
    def load(cls) -> Self:
        """The head with its snapshot and model; it is made where somebody flushed the database."""
        return cls.objects.select_related("snapshot__model").get_or_create(pk=1)[0]

    @classmethod
    def lock(cls) -> Self:
        """The head, which nobody else changes before this transaction ends."""
        return cls.row().select_for_update().get()


class RankerVersion(models.Model):
    class State(models.TextChoices):
        CANDIDATE = "candidate"
        ACTIVE = "active"
        RETIRED = "retired"

    name = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=16, default="linear")
    weights = models.JSONField(default=dict)
    features = models.JSONField(default=list)
    metrics = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=9, choices=State, default=State.CANDIDATE)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="active"), name="one_active_ranker"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"

    @property
    def is_active(self) -> bool:
        return self.state == self.State.ACTIVE

    def clean(self) -> None:
        try:
            check_weights(self.weights)
        except WeightsInvalid as exc:
            raise ValidationError({"weights": str(exc)}) from exc


class Heartbeat(models.Model):
    """When a worker process was alive last. Health reads this, so it need not ask the broker."""

    name = models.CharField(max_length=120, primary_key=True)
    kind = models.CharField(max_length=20)
    seen_at = models.DateTimeField()
    detail = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
