from django.apps import AppConfig
from django.http import multipartparser
from django_structlog.signals import bind_extra_request_failed_metadata, bind_extra_request_finished_metadata

from .middleware import bind_user_id, log_answered_code

# A file name of 255 letters of another script takes nine bytes a letter when a client percent-encodes it. Django would
# refuse a form whose part has more than 1,024 bytes of headers, and has no setting for it.
PART_HEADER_BYTES = 8 * 1024


class MarketplaceConfig(AppConfig):
    name = "marketplace"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - imported because that registers the system checks

        multipartparser.MAX_TOTAL_HEADER_SIZE = PART_HEADER_BYTES  # type: ignore[attr-defined]
        bind_extra_request_finished_metadata.connect(bind_user_id)
        bind_extra_request_failed_metadata.connect(log_answered_code)
