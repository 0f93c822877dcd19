"""Health's own door: what it shows, whoever asks and whatever else the settings ask of requests."""

import threading

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from marketplace.observing.health import DOOR
from marketplace.serving.door import THREADS, answer_monitors
from marketplace.serving.worker import is_door
from tests.servers.waiting import wait_for

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


def test_questions_that_hang_keep_no_answer_from_whether_the_process_lives(monkeypatch):
    hangs, asked = threading.Event(), []

    def hang(request):
        asked.append(request)
        hangs.wait(5)
        return HttpResponse("ok")

    monkeypatch.setitem(answer_monitors.__globals__["VIEWS"], "/metrics", hang)
    monitors = [threading.Thread(target=ask, args=("/metrics",)) for _ in range(THREADS - 1)]
    for monitor in monitors:
        monitor.start()
    wait_for(lambda: len(asked) == THREADS - 1)
    answers = [ask(path)[0] for path in ("/health/live", "/health/ready", "/metrics")]
    hangs.set()
    for monitor in monitors:
        monitor.join()
    assert answers == [200, 503, 503]
    assert ask("/metrics")[0] == 200


@pytest.mark.parametrize(
    ("bind", "address", "told"),
    [
        ("127.0.0.1:8001", ("127.0.0.1", 8001), True),
        ("unix:/run/health.sock", "/run/health.sock", True),
        # Where `--bind` has replaced the addresses of the settings.
        ("127.0.0.1:8001", ("127.0.0.1", 9000), False),
        ("", ("127.0.0.1", 8000), False),
    ],
)
def test_it_is_where_it_was_told_to_be_and_nowhere_else(monkeypatch, bind, address, told):
    monkeypatch.setenv("HEALTH_BIND", bind)
    assert is_door(address) is told
