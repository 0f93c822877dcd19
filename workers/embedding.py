"""The embedding worker: one process, one model, one task that drains the queue (pool: solo)."""

from __future__ import annotations

from celery import shared_task

from recommender.embedding import worker_loop

from .lifecycle import embedders, watch


@shared_task(name="workers.embedding.embed_pending", ignore_result=True, soft_time_limit=240, time_limit=300)
def embed_pending() -> None:
    worker_loop.embed_pending(load=embedders.load_embedder, watch=watch)
