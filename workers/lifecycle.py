"""What a worker process does when it starts and ends: heartbeat, watchdog, models loaded before the first photo."""

from __future__ import annotations

import logging
from typing import Any

from celery.concurrency import get_implementation
from celery.concurrency.solo import TaskPool as SoloPool
from celery.signals import worker_init, worker_ready, worker_shutdown

from recommender.embedding.doorbell import doorbell
from recommender.embedding.embedder_cache import EmbedderCache
from recommender.embedding.heartbeat import HeartbeatThread
from recommender.embedding.lease_holders import LeaseHolder
from recommender.embedding.watchdog import start_watchdog
from recommender.embedding.worker_loop import WorkerLoop
from recommender.errors import ModelNotReady
from recommender.index import stop_merges
from recommender.models import EmbeddingModel

from .runtime import WORKER_POLICY

logger = logging.getLogger(__name__)

SOLO_QUEUES = ("embedding", "indexing")


class Worker:
    """This worker process: the models it has loaded, its loop over the queue, and its heartbeat."""

    def __init__(self) -> None:
        self.embedders = EmbedderCache(WORKER_POLICY)
        self._holder = LeaseHolder()
        self.loop = WorkerLoop(self.embedders, self._holder)
        self._heartbeat: HeartbeatThread | None = None

    def start(self, kind: str) -> None:
        """Begin to beat; an embedding worker is also watched, and loads its models."""
        embeds = kind == "embedding"
        describe = self.loop.activity.describe if embeds else dict
        self._heartbeat = HeartbeatThread(kind, describe, holder=self._holder if embeds else None)
        self._heartbeat.start()
        if embeds:
            start_watchdog(self.loop.activity)
            self.load_live_models()
            # What a worker before this one left, or was saved while there was none, need not wait for the sweep.
            doorbell.end_broker_pause()
            doorbell.ring()

    def stop(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None

    def load_live_models(self) -> None:
        """Load the active model first, and the others too, so that no upload waits for one that is on standby."""
        for model in EmbeddingModel.objects.live().in_indexing_order():
            try:
                self.embedders.load_embedder(model)
            except ModelNotReady as exc:
                logger.error("Nothing is embedded by %s yet. %s", model.version, exc)


worker = Worker()


@worker_init.connect
def refuse_forking_pool(sender: Any, **kwargs: object) -> None:
    """Stop a worker whose children would inherit the threads of OpenVINO or FAISS."""
    kind = worker_kind(sender)
    if kind in SOLO_QUEUES and get_implementation(sender.pool_cls) is not SoloPool:
        raise SystemExit(f"A worker of the {kind} queue must not fork: start it with --pool=solo, one process each.")


@worker_ready.connect
def start_worker(sender: Any, **kwargs: object) -> None:
    worker.start(worker_kind(sender))


@worker_shutdown.connect
def stop_worker(**kwargs: object) -> None:
    stop_merges()
    worker.stop()


def worker_kind(celery_worker: Any) -> str:
    """The queue that says what this worker is for."""
    queues = celery_worker.app.amqp.queues.consume_from
    return next((name for name in SOLO_QUEUES if name in queues), "default")
