"""What goes on beside that which is measured."""

from __future__ import annotations

import threading
from typing import Self


class Background:
    """`work` goes on in a thread from `start` to `end`, or in a `with` block; it returns soon after `ended` is set."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def work(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self.ended.set()
        self._thread.join()
