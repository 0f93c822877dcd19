from django.apps import AppConfig
from django_structlog.signals import bind_extra_request_finished_metadata

from .logs import add_known_user


class MarketplaceConfig(AppConfig):
    name = "marketplace"

    def ready(self) -> None:
        bind_extra_request_finished_metadata.connect(add_known_user)
