"""The index of this process: made on first use, so after any fork."""

from __future__ import annotations

import os

from .reader import Index

_indexes: dict[int, Index] = {}


def get_index() -> Index:
    """This process's index; a forked child gets its own."""
    pid = os.getpid()
    if pid not in _indexes:
        _indexes.clear()
        _indexes[pid] = Index()
    return _indexes[pid]


def start() -> None:
    """Load the index and keep it fresh on a thread; the web server calls it in each worker after the fork."""
    get_index().start()
