"""How web processes run, here and in containers: no preload, everything loaded before the first request.

Python's garbage collector walks through all that lives whenever enough is new, and every thread waits: 100 to 200 ms
over what Django, the views and the index load, every few seconds. What is loaded stays, so it is frozen, that is kept
out of these walks.
"""

import gc
import itertools
import os
import resource

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from marketplace.paths import find_var_directory, temporary_directory
from marketplace.supervisor.parent import die_with_parent

from .temporary import delete_left_folders, use_own_folder

bind = [os.environ.get("BIND") or f"127.0.0.1:{os.environ.get('PORT') or 8000}"]
if door := os.environ.get("HEALTH_BIND"):
    bind.append(door)
worker_class = "marketplace.serving.worker.BufferingWorker"
workers = int(os.environ.get("WEB_PROCESSES") or 2)
threads = int(os.environ.get("WEB_THREADS") or 4)
# FAISS and OpenVINO hang in a child that is forked from a parent that used them.
preload_app = False
timeout = 60
# Less than the 15 seconds after which the supervisor kills gunicorn, so that it can end its workers itself.
graceful_timeout = 10
max_requests = 0
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112 - a slow disk must delay no heartbeat
control_socket_disable = True
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS") or "127.0.0.1,::1"
# django-structlog writes a line for each request, so gunicorn's access log would repeat it.
accesslog = None
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL") or "warning"

# One answer makes some thousands of objects and frees them again, so the garbage collector begins only where more pile
# up than that.
YOUNG = 20_000
DESCRIPTORS = 4096

temporary = temporary_directory(find_var_directory(os.environ))


def on_starting(arbiter: Arbiter) -> None:
    delete_left_folders(temporary)


def child_exit(arbiter: Arbiter, worker: Worker) -> None:
    delete_left_folders(temporary)


def post_fork(arbiter: Arbiter, worker: Worker) -> None:
    die_with_parent(worker.ppid)
    allow_descriptors()


def allow_descriptors() -> None:
    """A thousand connections have a file each for what they send and for what they do not read yet; shells and
    services usually allow a process 1,024 in all, and more to whoever asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def post_worker_init(worker: Worker) -> None:
    from django.urls import get_resolver

    from recommender import index
    from recommender.search.warm_up import start_warm_up

    use_own_folder(temporary)
    get_resolver().url_patterns  # noqa: B018 - read because that loads the views
    gc.set_threshold(YOUNG)
    freeze_loaded_objects()
    index.start_index_threads()
    start_warm_up()


# next() of a counter is one step for Python, so the threads of a process need no lock to number their requests.
served = itertools.count(1)


def post_request(worker: Worker, req: object, environ: dict[str, object], resp: object) -> None:
    """Freeze what the index, the first requests and pages seldom opened have loaded: ever more rarely, since something
    that a request in progress holds is frozen with it."""
    number = next(served)
    # Only powers of two pass, so that the process freezes after ever longer pauses.
    if number & (number - 1) == 0:
        freeze_loaded_objects()


def freeze_loaded_objects() -> None:
    gc.collect()
    gc.freeze()
