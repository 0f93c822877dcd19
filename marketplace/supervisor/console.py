"""What the person at the terminal reads: one prefixed line per line of a child, and one block when all is up.

A site goes on without its log: what a full disk, a closed pipe or a reader that has stopped does not take is dropped.
"""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import TextIO

from .site import Site

# As wide as `marketplace`, the longest of the usual names, so that the bars behind them stand in one column.
WIDTH = 11
COLOURS = (36, 32, 33, 35, 34, 96, 92, 93)
# A pipe that can be written to takes this much without waiting for whoever reads it.
PIPE_BYTES = 4096
# A reader that is only slow, as a terminal is, gets so many seconds before lines are dropped.
SLOW_READER_SECONDS = 0.5


class Console:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self._names: list[str] = []
        self._dropped = 0

    def print_line(self, name: str, text: str) -> None:
        if self._dropped and self._try_writing(f"\n{self._format_prefix('marketplace')} {self._describe_gap()}\n"):
            self._dropped = 0
        if not self._try_writing(f"{self._format_prefix(name)} {text}\n"):
            self._dropped += 1

    def print_message(self, text: str) -> None:
        self.print_line("marketplace", text)

    def _format_prefix(self, name: str) -> str:
        prefix = f"{name:<{WIDTH}}│"
        return f"\033[{self._choose_colour(name)}m{prefix}\033[0m" if self._coloured else prefix

    def _describe_gap(self) -> str:
        return f"{self._dropped} lines are missing here: this log could not be written."

    def _try_writing(self, text: str) -> bool:
        try:
            descriptor = self._stream.fileno()
        # Text that is collected in memory has no descriptor.
        except (OSError, ValueError):
            self._stream.write(text)
            return True
        # Not through the stream, which would keep what could not be written, and try it again before each new line.
        data = text.encode(errors="replace")
        pieces = [data[start : start + PIPE_BYTES] for start in range(0, len(data), PIPE_BYTES)]
        return all(self._write_piece(descriptor, piece) for piece in pieces)

    def _write_piece(self, descriptor: int, piece: bytes) -> bool:
        patience = 0 if self._dropped else SLOW_READER_SECONDS
        try:
            _, writable, _ = select.select([], [descriptor], [], patience)
            return bool(writable) and os.write(descriptor, piece) == len(piece)
        except (OSError, ValueError):
            return False

    def _choose_colour(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return COLOURS[self._names.index(name) % len(COLOURS)]


def format_welcome(site: Site, password_file: Path) -> list[str]:
    """The block printed once the site answers."""
    password = f"password in {password_file}" if password_file.exists() else "with the password you gave"
    return [
        f"ready: {site.url}/",
        f"  admin     {site.url}/admin/   (user admin, {password})",
        f"  API docs  {site.url}/api/docs/",
        "  Ctrl-C stops everything; the data stays.",
    ]
