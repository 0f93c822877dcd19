"""Visitors who take what others need."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from benchmarks.faults.fault import Fault
from benchmarks.faults.scene import Scene

SLOW_CLIENTS = 20
SLOW_SECONDS = 10.0
TRICKLE_EVERY_SECONDS = 2.0
HEAD = (
    "POST /api/v1/search/image/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
    "Content-Type: multipart/form-data; boundary=slow\r\n\r\n--slow\r\n"
)


def list_faults(scene: Scene) -> list[Fault]:
    return [Fault(f"{SLOW_CLIENTS} slow clients", connect_slow_clients, SLOW_SECONDS)]


@contextmanager
def connect_slow_clients(scene: Scene) -> Iterator[None]:
    """Uploads that send 100 bytes every two seconds."""
    ended = threading.Event()
    clients = [threading.Thread(target=_trickle, args=(scene.stack.port, ended)) for _ in range(SLOW_CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        ended.set()
        for client in clients:
            client.join()


def _trickle(port: int, ended: threading.Event) -> None:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(HEAD.encode())
        while not ended.wait(TRICKLE_EVERY_SECONDS):
            connection.sendall(b"x" * 100)
