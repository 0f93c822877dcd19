from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from ml.catalogue.counts import describe_count
from recommender.embedding import heartbeat, sweep
from recommender.embedding.doorbell import doorbell
from recommender.embedding.embedder_cache import COMMAND_POLICY, EmbedderCache
from recommender.embedding.lease_holders import LeaseHolder
from recommender.embedding.worker_loop import WorkerLoop
from recommender.models import Embedding, EmbeddingModel

POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Wake the embedding worker; --wait shows progress until nothing is pending."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--wait", action="store_true", help="return when every photo is embedded")
        parser.add_argument("--here", action="store_true", help="embed in this process, without a broker or a worker")

    def handle(self, *args: object, wait: bool, here: bool, **options: object) -> None:
        if not EmbeddingModel.objects.live().exists():
            raise CommandError("No model is registered: run `manage.py models register --weights … --activate` first.")
        sweep.sweep_queue()
        if here:
            holder = LeaseHolder()
            loop = WorkerLoop(EmbedderCache(COMMAND_POLICY), holder)
            self._repeat_step_until_none_waits(lambda: self._run_slice_or_wait(loop, holder))
            holder.let_go()
        elif wait:
            if not heartbeat.is_worker_alive("embedding"):
                self.stderr.write("No embedding worker is running; start one, or embed with --here.")
            self._repeat_step_until_none_waits(ring_doorbell_and_wait)
        else:
            self.stdout.write(f"Waiting for the embedding worker: {describe_count(count_waiting_rows(), 'photo')}.")

    def _repeat_step_until_none_waits(self, step: Callable[[], None]) -> None:
        most = count_waiting_rows()
        with tqdm(total=most, unit=" photos", disable=None) as bar:
            while left := count_waiting_rows():
                # Uploads go on meanwhile, so the total may grow; a bar must not run backwards.
                most = bar.total = max(most, left)
                bar.update(most - left - bar.n)
                step()
            bar.update(most - bar.n)

    def _run_slice_or_wait(self, loop: WorkerLoop, holder: LeaseHolder) -> None:
        # Again before each slice, because the session that held the number may be gone.
        with suppress(OSError):  # of the disk: then only time ends what a killed command had leased
            holder.hold()
        tally = loop.run_slice(1)
        # A slice that embedded nothing and says why will not do better the next time.
        if tally.stopped and not tally.batches:
            raise CommandError(tally.stopped)
        # What is left is leased to other workers, so asking again at once would only load the database.
        if not tally.batches:
            time.sleep(POLL_SECONDS)


def ring_doorbell_and_wait() -> None:
    doorbell.ring()
    time.sleep(POLL_SECONDS)


def count_waiting_rows() -> int:
    states = (Embedding.State.PENDING, Embedding.State.LEASED)
    return Embedding.objects.filter(state__in=states, model__in=EmbeddingModel.objects.live()).count()
