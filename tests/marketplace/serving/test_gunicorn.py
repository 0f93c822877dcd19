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


def test_before_the_first_request_every_view_is_loaded_and_frozen_also_where_the_disk_takes_no_folder():
    script = """
import gc, os, resource, sys
from pathlib import Path
from types import SimpleNamespace
os.environ["DJANGO_SETTINGS_MODULE"] = "marketplace.settings"
import marketplace.wsgi
from marketplace.serving import gunicorn
from recommender import index
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
gunicorn.post_fork(None, SimpleNamespace(ppid=os.getppid()))
assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == (4096 if hard == resource.RLIM_INFINITY else min(hard, 4096))
gunicorn.temporary = Path("/dev/full/tmp")
started = []
index.start_index_threads = lambda: started.append(gc.get_freeze_count())
assert "recommender.api.views" not in sys.modules
gunicorn.post_worker_init(None)
assert "recommender.api.views" in sys.modules
assert len(started) == 1
assert started[0] > 50_000, started
gunicorn.child_exit(None, None)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
