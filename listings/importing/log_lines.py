"""What the log says while a command runs: for the person who runs it, once, and not between its own lines."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CountingHandler(logging.Handler):
    """Keeps each sentence and how often it came, not every record: a long import may bring thousands."""

    def __init__(self) -> None:
        super().__init__()
        self.sentences: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences[record.getMessage()] += 1


@contextmanager
def hold_back_log_lines(say: Callable[[str], object]) -> Iterator[None]:
    """Say at the end what would have been written to the terminal as log lines meanwhile."""
    root, held = logging.getLogger(), CountingHandler()
    before = root.handlers[:]
    # Only what goes to a terminal is held back; whoever else listens, such as an error tracker, hears all at once.
    root.handlers[:] = [handler for handler in before if type(handler) is not logging.StreamHandler] + [held]
    try:
        yield
    finally:
        root.handlers[:] = before
        for sentence, times in held.sentences.items():
            say(sentence if times == 1 else f"{sentence} ({times:,} times)")
