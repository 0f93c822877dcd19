"""The embedding worker: one process that runs one task at a time, which embeds what the queue holds (pool: solo)."""

from __future__ import annotations

from celery import shared_task

from .lifecycle import worker


@shared_task(name="workers.embedding.embed_pending", ignore_result=True)
def embed_pending_photos() -> None:
    worker.loop.run_slice()
