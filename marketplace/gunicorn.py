"""How web processes run, here and in containers: threads, no preload, a warm index before the first request."""

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


def post_fork(arbiter: Arbiter, worker: ThreadWorker) -> None:
    die_with(worker.ppid)


def post_worker_init(worker: ThreadWorker) -> None:
    from recommender import index

    index.start()
