"""The indexing worker: flushes and merges the index (pool: solo)."""

from __future__ import annotations

from celery import shared_task


@shared_task(name="workers.indexing.compact", ignore_result=True, soft_time_limit=240, time_limit=300)
def compact() -> None:
    from recommender.index import compaction

    compaction.compact()
