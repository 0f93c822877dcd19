"""Health's own door: what it shows, whoever asks and whatever else the settings ask of requests."""

import pytest
from django.test import RequestFactory

from marketplace.observing.health import DOOR
from marketplace.serving.door import answer_monitors

pytestmark = pytest.mark.django_db


def ask(path, **environ):
    """Status and body."""
    said = []
    given = RequestFactory().get(path, **environ).environ
    body = b"".join(answer_monitors(given, lambda status, headers: said.append(status)))
    assert DOOR not in given
    return int(said[0][:3]), body


@pytest.fixture(autouse=True)
def _keep_the_tests_connection(monkeypatch):
    monkeypatch.setattr("django.db.close_old_connections", lambda **kwargs: None)


def test_it_asks_neither_for_a_host_nor_for_tls(settings):
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = [], True
    assert ask("/health/live", HTTP_HOST="web:8001") == (200, b'{"status": "ok"}')
    assert ask("/metrics", HTTP_HOST="10.0.0.5")[0] == 200


def test_it_has_nothing_but_health():
    assert ask("/")[0] == 404
    assert b"/metrics" in ask("/admin/")[1]


def test_an_error_of_its_own_is_an_answer(monkeypatch):
    def fail(request):
        raise ZeroDivisionError

    monkeypatch.setitem(answer_monitors.__globals__["VIEWS"], "/health/live", fail)
    assert ask("/health/live")[0] == 500
