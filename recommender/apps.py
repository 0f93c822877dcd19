from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import post_migrate, post_save

from .ranker_weights import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from .index import PhotoCounts
    from .models import EmbeddingModel


def ensure_seed_rows(
    sender: AppConfig, using: str = DEFAULT_DB_ALIAS, apps: Apps = global_apps, **kwargs: object
) -> None:
    """Give a flushed database its head, of a new epoch, and its first ranker again."""
    # The models as they are after the migration, which may have gone back to before there were any.
    try:
        head, ranker = apps.get_model("recommender", "IndexHead"), apps.get_model("recommender", "RankerVersion")
    except LookupError:
        return
    head.objects.using(using).get_or_create(pk=1)
    if not ranker.objects.using(using).exists():
        ranker.objects.using(using).create(
            name="linear-1",
            kind="linear",
            weights=DEFAULT_WEIGHTS,
            features=list(DEFAULT_WEIGHTS),
            state="active",
        )


def prepare_successor_embedder(serving: int, successor: int) -> None:
    """Load and test the embedder of the model with the id `successor`, where this process embeds with `serving` now.

    Other processes, as those that only show listings like another, need no embedder and load none.
    """
    from .embedding import self_test
    from .embedding.embedder_cache import embedders
    from .models import EmbeddingModel

    if embedders.is_loaded(serving):
        model = EmbeddingModel.objects.get(pk=successor)
        self_test.check_embedder(model, embedders.load_embedder(model))


def evict_retired_models() -> None:
    from .embedding.embedder_cache import embedders

    embedders.evict_retired_models()


def count_photos(model: EmbeddingModel) -> PhotoCounts:
    from .registry import backfill_progress

    return backfill_progress.count_photos(model)


class RecommenderConfig(AppConfig):
    name = "recommender"

    def ready(self) -> None:
        from listings.photos.signals import photos_added

        from . import slots
        from .embedding.doorbell import ring_after_commit, ring_for_new_photo
        from .index import ModelHooks, set_model_hooks

        slots.register_fillers()
        set_model_hooks(ModelHooks(prepare_successor_embedder, evict_retired_models, count_photos))
        post_migrate.connect(ensure_seed_rows, sender=self)
        post_save.connect(
            ring_for_new_photo, sender="listings.ListingImage", dispatch_uid="recommender.embedding.doorbell"
        )
        photos_added.connect(ring_after_commit, dispatch_uid="recommender.embedding.doorbell")
