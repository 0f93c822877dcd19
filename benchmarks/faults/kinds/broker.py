"""The broker, which is needed for nothing but speed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from benchmarks.faults.fault import Fault, at_once
from benchmarks.faults.scene import Scene
from marketplace.paths import broker_socket_path

AWAY_SECONDS = 10.0


def list_faults(scene: Scene) -> list[Fault]:
    return [
        Fault(f"broker away {AWAY_SECONDS:.0f} s", take_broker_away, AWAY_SECONDS),
        Fault("broker flushed", at_once(flush_broker)),
    ]


@contextmanager
def take_broker_away(scene: Scene) -> Iterator[None]:
    """Nobody can connect, and whoever was connected is cut off."""
    socket = broker_socket_path(scene.stack.var)
    aside = socket.with_suffix(".aside")
    with redis.Redis(unix_socket_path=str(socket)) as client:
        client.ping()
        socket.rename(aside)
        try:
            client.client_kill_filter(_type="normal", skipme=True)
            client.client_kill_filter(_type="pubsub", skipme=True)
            yield
        finally:
            aside.rename(socket)


def flush_broker(scene: Scene) -> None:
    with redis.Redis(unix_socket_path=str(broker_socket_path(scene.stack.var))) as client:
        client.flushall()
