"""The private broker of a site in a folder of any name, as redis-py, Django's cache and Celery each reach it."""

import subprocess
import tempfile
from pathlib import Path

import kombu
import pytest
import redis
from django.core.cache.backends.redis import RedisCache

from marketplace.paths import private_broker_url
from marketplace.settings.environment import derive_cache_url, derive_celery_url
from marketplace.supervisor import roles
from marketplace.supervisor.probe import is_broker_reachable
from marketplace.supervisor.site import Site
from tests.servers.waiting import wait_for


@pytest.fixture(params=["a#b", "a?b&c=d", "100%25", "a;b,c+d", "My Sité (1) 100% #2?", "quo'te\" $HOME {0} \\n"])
def var(request):
    """The data of a site whose private broker runs."""
    # Not `tmp_path`, which is so long that the socket would lie elsewhere.
    with tempfile.TemporaryDirectory(prefix="mp-") as short:
        var = Path(short) / request.param
        (var / "run").mkdir(parents=True)
        command = roles.broker_role(Site.from_environment({"VAR_DIR": str(var)})).command
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            wait_for(lambda: is_broker_reachable(var / "run" / "valkey.sock"))
            yield var
            server.kill()


def test_every_library_reaches_the_private_broker(var):
    url = private_broker_url(var)
    with redis.Redis.from_url(url) as client:
        cache = RedisCache(derive_cache_url(url), {})
        cache.set("key", "value")
        assert cache.get("key") == "value"
        assert client.dbsize() == 0, "the cache has a database of its own, because it may be flushed"
        with kombu.Connection(derive_celery_url(url)) as connection:
            connection.SimpleQueue("embedding").put({"task": "x"})
        assert client.llen("embedding") == 1
