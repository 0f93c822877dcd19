from typing import Any

from django.apps import AppConfig
from django.db import transaction
from django.db.models.signals import post_migrate, post_save


def ensure_seed_rows(sender: AppConfig, **kwargs: Any) -> None:
    """A flushed database gets its head (of a new epoch) and its first ranker back."""
    from .models import IndexHead, RankerVersion
    from .search.ranking.linear import DEFAULT_WEIGHTS

    IndexHead.load()
    if not RankerVersion.objects.exists():
        RankerVersion.objects.create(
            name="linear-1",
            kind="linear",
            weights=DEFAULT_WEIGHTS,
            features=list(DEFAULT_WEIGHTS),
            state=RankerVersion.State.ACTIVE,
        )


def ring_for_new_photo(created: bool, **kwargs: Any) -> None:
    from .embedding.doorbell import ring

    if created:
        transaction.on_commit(ring, robust=True)


def ring_for_photos(**kwargs: Any) -> None:
    from .embedding.doorbell import ring

    transaction.on_commit(ring, robust=True)


class RecommenderConfig(AppConfig):
    name = "recommender"

    def ready(self) -> None:
        from listings.signals import photos_added

        from . import slots

        slots.register()
        post_migrate.connect(ensure_seed_rows, sender=self)
        post_save.connect(
            ring_for_new_photo, sender="listings.ListingImage", dispatch_uid="recommender.embedding.doorbell"
        )
        photos_added.connect(ring_for_photos, dispatch_uid="recommender.embedding.doorbell")
