from django.apps import AppConfig
from django_structlog.signals import bind_extra_request_finished_metadata

from .middleware import bind_user_id


class MarketplaceConfig(AppConfig):
    name = "marketplace"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - imported because that registers the system checks

        bind_extra_request_finished_metadata.connect(bind_user_id)
