"""Turns between callers at what costs a process much: one caller's many requests keep no other caller out.

A caller holds one place at a time and waits for one more; whoever else waits for a place is served in the order of
coming. What waits holds a thread of the process, so nobody waits for long.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest
from rest_framework.request import Request

from .rates import caller_address

# More than a decode may take of the processor, so that who comes second is served where the machine has time for both.
MOST_WAIT_SECONDS = 10.0


class NoTurn(Exception):
    """The caller has a request in work and another waiting, or no place became free in time."""


class Turns:
    """Some places, and the callers that hold them or wait for one, in this process."""

    def __init__(self, places: int, most_wait: float = MOST_WAIT_SECONDS) -> None:
        self._free, self._most_wait = places, most_wait
        self._changed = threading.Condition()
        self._holding: set[str] = set()
        self.waiting: list[str] = []  # in the order of coming

    @contextmanager
    def take_turn(self, caller: str) -> Iterator[None]:
        """Hold a place; wait for it where others hold all, or this caller one. Raises: NoTurn."""
        with self._changed:
            if caller in self.waiting:
                raise NoTurn
            self.waiting.append(caller)
            try:
                if not self._changed.wait_for(lambda: self._is_turn_of(caller), self._most_wait):
                    raise NoTurn
            finally:
                self.waiting.remove(caller)
            self._free -= 1
            self._holding.add(caller)
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._holding.discard(caller)
                self._changed.notify_all()

    def _is_turn_of(self, caller: str) -> bool:
        """Whether a place is free, and all who came before either hold one or came after."""
        ready = [waiting for waiting in self.waiting if waiting not in self._holding]
        return caller in ready[: self._free]


def name_caller(request: HttpRequest | Request) -> str:
    """The account of whoever asks, or else the address, as rates count them."""
    if request.user.is_authenticated:
        return f"user-{request.user.pk}"
    return f"ip-{caller_address(request)}"
