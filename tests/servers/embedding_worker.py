"""An embedding worker as a process of its own, with the fake embedder and, on demand, a fault: kill, hang or stop.

`python -m tests.servers.embedding_worker FAULT SHA256` embeds what the queue holds, in the database that the
environment names.
Each life is a forked child; a child that dies is followed by the next, as a supervisor would do, until nothing is left.
Prints the exit statuses as one line of JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time

import django

from ml import images
from ml.images import make_derivatives

PATIENCE = 60.0
IDLE, DONE = 3, 0


class Fault:
    """What happens when the picture with this checksum is decoded, or ("stop") before its batch is stored."""

    def __init__(self, kind: str, sha256: str) -> None:
        self.kind, self.sha256 = kind, sha256

    def make_derivatives(self, data: bytes):
        if hashlib.sha256(data).hexdigest() == self.sha256:
            if self.kind == "kill":
                os._exit(9)
            if self.kind == "hang":
                time.sleep(PATIENCE)
        return make_derivatives(data)


def live(fault: Fault) -> int:
    """One worker's life; the exit status says whether work is left."""
    from recommender.embedding import queue
    from recommender.embedding.watchdog import start_watchdog
    from recommender.embedding.worker_loop import WorkerLoop
    from recommender.models import Embedding
    from tests.fakes import FakeCache, FakeEmbedder

    class StoppingEmbedder(FakeEmbedder):
        def embed(self, batch):
            vectors = super().embed(batch)
            if fault.kind == "stop" and len(self.batches) == 2:  # the first is the drawn test picture
                os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(0.5)  # long enough for the watchdog to look
            return vectors

    images.make_derivatives = fault.make_derivatives
    embedder = StoppingEmbedder()
    loop = WorkerLoop(FakeCache(lambda model: embedder))
    start_watchdog(loop.activity)
    loop.run_slice(PATIENCE)
    leased = Embedding.objects.filter(state=Embedding.State.LEASED).exists()
    return IDLE if leased or queue.is_anything_pending() else DONE


def main(kind: str, sha256: str) -> None:
    django.setup()
    fault = Fault(kind, sha256)
    if kind == "stop":
        sys.exit(live(fault))
    ends: list[int] = []
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and (not ends or ends[-1] != DONE):
        if ends and ends[-1] == IDLE:
            time.sleep(0.05)  # what is left is leased to the dead
        ends.append(next_life(fault))
    print(json.dumps([end for end in ends if end != IDLE]))


def next_life(fault: Fault) -> int:
    child = os.fork()
    if child == 0:
        os._exit(live(fault))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
