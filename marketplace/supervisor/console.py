"""What the person at the terminal reads: one prefixed line per line of a child, and one block when all is up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

from .site import Site

# As wide as `marketplace`, the longest of the usual names, so that the bars behind them stand in one column.
WIDTH = 11
COLOURS = (36, 32, 33, 35, 34, 96, 92, 93)


class Console:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self._names: list[str] = []

    def print_line(self, name: str, text: str) -> None:
        prefix = f"{name:<{WIDTH}}│"
        if self._coloured:
            prefix = f"\033[{self._choose_colour(name)}m{prefix}\033[0m"
        print(prefix, text, file=self._stream, flush=True)

    def print_message(self, text: str) -> None:
        self.print_line("marketplace", text)

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
