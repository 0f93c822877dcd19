"""The indexing worker: flushes, merges and builds the index (pool: solo).

A solo pool enforces no time limit, so a model's first snapshot may take as long as it needs: the lease, renewed at
every page, says whether its builder is alive. A forking pool, which the worker refuses, would stop it too early.
"""

from __future__ import annotations

from celery import shared_task


@shared_task(name="workers.indexing.compact", ignore_result=True)
def compact_index() -> None:
    from recommender import index

    index.compact()
