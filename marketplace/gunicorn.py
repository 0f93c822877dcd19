"""How web processes run, here and in containers: threads, no preload, everything loaded before the first request.

Python's garbage collector walks through all that lives whenever enough is new, and every thread waits: 100 to 200 ms
over what Django, the views and the index load, every few seconds. What is loaded stays, so it is frozen, that is kept
out of these walks.
"""

import gc
import itertools
import os

from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import ThreadWorker

from marketplace.supervisor.parent import die_with

bind = os.environ.get("BIND") or f"127.0.0.1:{os.environ.get('PORT') or 8000}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_PROCESSES") or 2)
threads = int(os.environ.get("WEB_THREADS") or 4)
preload_app = False  # FAISS and OpenVINO hang in a child forked from a parent that used them
timeout = 60
graceful_timeout = 10
keepalive = 5
max_requests = 0
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112 - a heartbeat file, never on disk
control_socket_disable = True
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS") or "127.0.0.1,::1"
limit_request_line = 4094
limit_request_fields = 60
limit_request_field_size = 8190
accesslog = None  # django-structlog writes one structured line a request
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL") or "warning"

YOUNG = 20_000  # new objects before the collector looks at them: an answer makes some thousands, and lets go of them


def post_fork(arbiter: Arbiter, worker: ThreadWorker) -> None:
    die_with(worker.ppid)


def post_worker_init(worker: ThreadWorker) -> None:
    from django.urls import get_resolver

    from recommender import index

    get_resolver().url_patterns  # noqa: B018 - loads the views
    gc.set_threshold(YOUNG)
    freeze()
    index.start_threads()


served = itertools.count(1)  # requests of this process


def post_request(worker: ThreadWorker, req: object, environ: dict[str, object], resp: object) -> None:
    """Freeze what the index, the first requests and pages seldom opened have loaded: ever more rarely, since something
    that a request in progress holds is frozen with it."""
    number = next(served)
    if number & (number - 1) == 0:  # 1, 2, 4, 8 …
        freeze()


def freeze() -> None:
    gc.collect()
    gc.freeze()
