"""Hooks of the web processes, without a server."""

import gc
import itertools
import subprocess
import sys

import pytest

from marketplace.serving import gunicorn


@pytest.fixture
def frozen(monkeypatch):
    """What was done to the garbage collector, which the tests themselves keep."""
    done = []
    monkeypatch.setattr(gc, "collect", lambda: done.append("collect"))
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    return done


def test_what_requests_load_is_frozen_ever_more_rarely(frozen, monkeypatch):
    monkeypatch.setattr(gunicorn, "served", itertools.count(1))
    at = []
    for number in range(1, 101):
        gunicorn.post_request(None, None, {}, None)
        if frozen:
            assert frozen == ["collect", "freeze"]
            frozen.clear()
            at.append(number)
    assert at == [1, 2, 4, 8, 16, 32, 64]


def test_before_the_first_request_every_view_is_loaded_and_frozen():
    script = """
import gc, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "marketplace.settings"
import marketplace.wsgi
from marketplace.serving import gunicorn
from recommender import index
started = []
index.start_index_threads = lambda: started.append(gc.get_freeze_count())
assert "recommender.api.views" not in sys.modules
gunicorn.post_worker_init(None)
assert "recommender.api.views" in sys.modules
assert len(started) == 1
assert started[0] > 50_000, started
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
