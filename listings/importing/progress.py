"""How far an import is: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self, TextIO

from tqdm import tqdm

from ml.catalogue.counts import describe_count

# Where there is no terminal the lines go to a log, which would fill up with more frequent ones.
EVERY_SECONDS = 10


class FileProgress:
    """Call it with the bytes and rows read so far."""

    def __init__(self, name: str, size: int, terminal: TextIO, say: Callable[[str], object]) -> None:
        self._name = name
        # At least 1, or an empty file would be a division by zero.
        self._size = max(size, 1)
        self._say = say
        self._said = time.monotonic()
        self._bar = (
            tqdm(total=size, desc=name, unit="B", unit_scale=True, file=terminal, leave=False)
            if terminal.isatty()
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, bytes_read: int, rows: int) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(describe_count(rows, "row"), refresh=False)
            self._bar.update(bytes_read - self._bar.n)
        elif time.monotonic() - self._said >= EVERY_SECONDS:
            self._said = time.monotonic()
            self._say(f"{self._name}: {describe_count(rows, 'row')}, {100 * bytes_read // self._size} %")
