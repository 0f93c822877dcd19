"""Isolation for every test: a private `var/`, a private broker and caches, a deterministic embedder.

Each pytest process (also each xdist worker) gets its own directory and its own Valkey server on a unix socket. The
database is SQLite in a file, so that threads and subprocesses see it, unless DATABASE_URL names a PostgreSQL.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

_var = Path(tempfile.mkdtemp(prefix="mp-test-"))
atexit.register(shutil.rmtree, _var, ignore_errors=True)
(_var / "run").mkdir(mode=0o700)
(_var / "static").mkdir()
for _name in ("EMBEDDER_WEIGHTS", "MODELS_ROOT", "INDEX_ROOT", "MEDIA_ROOT", "ORIGINALS_ROOT", "STATIC_ROOT", "DEBUG"):
    os.environ.pop(_name, None)  # a developer's own site stays out of the tests
os.environ.update(
    VAR_DIR=str(_var),
    ML_CACHE=str(_var / "ml-cache"),
    SECRET_KEY="tests-only",
    LOW_DISK_MB="0",  # the disk of whoever runs the tests is their own affair
    REDIS_URL=f"unix://{quote(str(_var))}/run/valkey.sock",
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

import django  # noqa: E402
import pytest  # noqa: E402
import redis  # noqa: E402
from django.conf import settings  # noqa: E402

from .servers.valkey import Valkey  # noqa: E402

# Here, not by pytest-django: the ini setting, or a variable that xdist's workers inherit, would load the settings
# before this environment is set.
if settings.configured:
    pytest.exit(
        "unset DJANGO_SETTINGS_MODULE: it loads the settings of a real site before the tests have their own.", 2
    )
django.setup()
os.environ.pop("DJANGO_SETTINGS_MODULE")

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "live_server"}


def pytest_addoption(parser):
    parser.addoption("--only-database", action="store_true", help="run only the tests that touch the database")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--only-database"):
        kept = [item for item in items if touches_database(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        skip = pytest.mark.skip(reason="needs PostgreSQL; `make test` runs it on one")
        for item in items:
            if item.get_closest_marker("postgres_only"):
                item.add_marker(skip)


def touches_database(item):
    return bool(item.get_closest_marker("django_db") or DATABASE_FIXTURES.intersection(item.fixturenames))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    """A file instead of SQLite's in-memory test database, which threads could not share."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database.setdefault("TEST", {})["NAME"] = str(_var / "test.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """The test database under the journal that `prepare_database` gives every SQLite."""
    from django.db import connection

    from marketplace.preparation.database import enable_wal

    if connection.vendor == "sqlite":
        with django_db_blocker.unblock():
            enable_wal()


@pytest.fixture(scope="session")
def valkey():
    """The server behind REDIS_URL; `stop()` and `start()` are a broker that fails and comes back."""
    server = Valkey(_var / "run" / "valkey.sock")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session", autouse=True)
def broker(valkey):
    """A client of the real Valkey that serves the cache, the doorbell's flag and Celery."""
    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        yield client


@pytest.fixture(autouse=True)
def _fresh_cache(broker):
    """An empty cache that rates ask, even right after a test that took it away."""
    from listings.limits import rates

    rates.breaker.record_success()
    yield
    broker.flushall()


@pytest.fixture(autouse=True)
def _no_outage_from_before():
    """The log of an outage that no test before has met."""
    from marketplace.observing.outage_log import own_log

    own_log.forget()


@pytest.fixture(autouse=True)
def _plain_static_files(settings):
    """Pages without the manifest of collected static files."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.fixture
def broker_down(valkey):
    """The broker is stopped for the length of the test."""
    valkey.stop()
    yield
    valkey.start()


@pytest.fixture(autouse=True)
def ranker_read_at_once(monkeypatch):
    """A test that changes the ranker asks right after it."""
    monkeypatch.setattr("recommender.search.ranking.ranker.REREAD_SECONDS", 1e-9)
