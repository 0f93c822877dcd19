"""The threads that answer requests. waitress's own take a lock in Python for each, which costs milliseconds where they
compete for Python's lock as well; a queue written in C takes none."""

from __future__ import annotations

import logging
import threading
from queue import SimpleQueue
from typing import Protocol

logger = logging.getLogger(__name__)


class Task(Protocol):
    def service(self) -> None: ...
    def cancel(self) -> None: ...


class TaskThreads:
    def __init__(self, count: int) -> None:
        self._tasks: SimpleQueue[Task] = SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._serve, name=f"request-{number}", daemon=True).start()

    def add_task(self, task: Task) -> None:
        self._tasks.put(task)

    def _serve(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                task.service()
            # A SystemExit too: it would end this thread for good, and no process.
            except BaseException:
                logger.exception("a request ended in an error that nothing else caught")
                task.cancel()
