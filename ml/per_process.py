"""Values that belong to one process: a forked child must not use its parent's.

Threads do not survive a fork, so whatever has threads, or waits for them, would hang in the child for ever. A child
finds every `PerProcess` empty and makes its own value.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value that each process makes on first use, once however many threads ask for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: list[T] = []
        self._lock = threading.Lock()
        _all.add(self)

    def get(self) -> T:
        """This process's value, which is made now if there is none. Raises: whatever `make` raises."""
        # Called for every request, so no lock is taken where the value is there: reading a list needs none.
        values = self._values
        return values[0] if values else self._get_or_make()

    def get_if_made(self) -> T | None:
        """This process's value; None where it was not made yet."""
        values = self._values
        return values[0] if values else None

    def set(self, value: T) -> None:
        with self._lock:
            self._values = [value]

    def forget(self) -> None:
        """As if this process had just started."""
        with self._lock:
            self._values = []

    def _get_or_make(self) -> T:
        with self._lock:
            if not self._values:
                self._values = [self._make()]
            return self._values[0]

    def _reset_after_fork(self) -> None:
        # The parent's value is kept, though nobody finds it: destroying it could wait for threads that a child does not
        # have. The lock is new, because a thread of the parent may have held it and cannot release this copy.
        _inherited.extend(self._values)
        self._values = []
        self._lock = threading.Lock()


_all: weakref.WeakSet[PerProcess[Any]] = weakref.WeakSet()
_inherited: list[Any] = []


def _reset_all_after_fork() -> None:
    for value in list(_all):
        value._reset_after_fork()  # noqa: SLF001 - os takes a function as hook, which must reach into the class


os.register_at_fork(after_in_child=_reset_all_after_fork)
