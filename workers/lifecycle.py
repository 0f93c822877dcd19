"""What a worker process does when it starts and ends: heartbeat, watchdog, the model loaded before the first photo."""

from __future__ import annotations

import logging
from typing import Any

from celery.concurrency import get_implementation
from celery.concurrency.solo import TaskPool as SoloPool
from celery.signals import worker_init, worker_ready, worker_shutdown

from recommender.embedding.embedder_cache import EmbedderCache
from recommender.embedding.heartbeat import Heart
from recommender.embedding.watchdog import Watch, guard
from recommender.errors import ModelNotReady
from recommender.index import stop_merges
from recommender.models import EmbeddingModel

from .runtime import WORKER_POLICY

logger = logging.getLogger(__name__)

SOLO_QUEUES = ("embedding", "indexing")

watch = Watch()
embedders = EmbedderCache(WORKER_POLICY)
_hearts: list[Heart] = []


@worker_init.connect
def refuse_forking_pool(sender: Any, **kwargs: Any) -> None:
    """Stop a worker whose children would inherit the threads of OpenVINO or FAISS."""
    kind = kind_of(sender)
    if kind in SOLO_QUEUES and get_implementation(sender.pool_cls) is not SoloPool:
        raise SystemExit(f"A worker of the {kind} queue must not fork: start it with --pool=solo, one process each.")


@worker_ready.connect
def begin(sender: Any, **kwargs: Any) -> None:
    kind = kind_of(sender)
    heart = Heart(kind, watch.describe if kind == "embedding" else dict)
    heart.start()
    _hearts.append(heart)
    if kind == "embedding":
        guard(watch)
        preload()


@worker_shutdown.connect
def end(**kwargs: Any) -> None:
    stop_merges()
    while _hearts:
        _hearts.pop().stop()


def preload() -> None:
    """Load every live model, the active one first, so that no upload waits for one that is on standby."""
    for model in EmbeddingModel.objects.live().in_indexing_order():
        try:
            embedders.load_embedder(model)
        except ModelNotReady as exc:
            logger.error("Nothing is embedded by %s yet. %s", model.version, exc)


def kind_of(worker: Any) -> str:
    """The queue that says what this worker is for."""
    queues = worker.app.amqp.queues.consume_from
    return next((name for name in SOLO_QUEUES if name in queues), "default")
