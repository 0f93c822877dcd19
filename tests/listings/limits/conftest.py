import socket

import pytest
from django.conf import settings as site
from rest_framework.settings import api_settings

from marketplace.paths import socket_url


@pytest.fixture
def silent_server(tmp_path):
    """A socket that accepts and never answers."""
    path = tmp_path / "silent.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(50)
    yield socket_url(path)
    server.close()


@pytest.fixture
def dead_server(tmp_path):
    return socket_url(tmp_path / "nobody.sock")


@pytest.fixture
def use_cache(settings):
    """Let the cache be at another address for one test."""

    def change(url: str) -> None:
        settings.CACHES = {"default": {**site.CACHES["default"], "LOCATION": url}}

    return change


@pytest.fixture
def rates(monkeypatch):
    """Change rates for one test: DRF reads its settings once."""

    def change(**changed):
        monkeypatch.setattr(api_settings, "DEFAULT_THROTTLE_RATES", {**api_settings.DEFAULT_THROTTLE_RATES, **changed})

    return change
