from django.apps import AppConfig
from django.db.models.signals import post_migrate


def ensure_seed_rows(sender: AppConfig, **kwargs) -> None:
    """A flushed database gets its head (of a new epoch) and its first ranker back."""
    from .models import IndexHead, RankerVersion
    from .ranking.linear import DEFAULT_WEIGHTS

    IndexHead.objects.get_or_create(pk=1)
    if not RankerVersion.objects.exists():
        RankerVersion.objects.create(
            name="linear-1",
            kind="linear",
            weights=DEFAULT_WEIGHTS,
            features=list(DEFAULT_WEIGHTS),
            state=RankerVersion.State.ACTIVE,
        )


class RecommenderConfig(AppConfig):
    name = "recommender"

    def ready(self) -> None:
        post_migrate.connect(ensure_seed_rows, sender=self)
