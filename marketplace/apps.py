from django.apps import AppConfig
from django_structlog.signals import bind_extra_request_finished_metadata

from .middleware import add_known_user


class MarketplaceConfig(AppConfig):
    name = "marketplace"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - imported because that registers the system checks

        bind_extra_request_finished_metadata.connect(add_known_user)
