"""How many modules and folders lie side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from .tree import Module

NOT_COUNTED = {"__init__.py", "migrations", "templates", "static"}


def list_entries(modules: Iterable[Module]) -> dict[str, set[str]]:
    """Each folder that holds code, with the names of the modules and folders with code in it; the root is `.`."""
    entries: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        path = PurePosixPath(module.path)
        for child in (path, *path.parents[:-1]):
            if child.name not in NOT_COUNTED and not NOT_COUNTED & set(child.parent.parts):
                entries[str(child.parent)].add(child.name)
    return dict(entries)
