"""Visitors who take what others need."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from PIL import Image, ImageDraw

from benchmarks.faults.fault import Fault
from benchmarks.faults.scene import Scene

COSTLY_FILES = 8
COSTLY_SIDE = 8000  # 64 million pixels, progressive
SLOW_CLIENTS = 20
SLOW_SECONDS = 10.0
TRICKLE_EVERY_SECONDS = 2.0
HEAD = (
    "POST /api/v1/search/image/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
    "Content-Type: multipart/form-data; boundary=slow\r\n\r\n--slow\r\n"
)


def list_faults(scene: Scene) -> list[Fault]:
    return [
        Fault(f"{SLOW_CLIENTS} slow clients", connect_slow_clients, SLOW_SECONDS),
        Fault(f"{COSTLY_FILES} costly files", send_costly_files, since_start=True),
    ]


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


@contextmanager
def send_costly_files(scene: Scene) -> Iterator[None]:
    """One seller's photos, each small to send and slow to decode; whether they are taken is all the same here."""
    image = Image.new("RGB", (COSTLY_SIDE, COSTLY_SIDE), "navy")
    ImageDraw.Draw(image).ellipse((0, 0, COSTLY_SIDE, COSTLY_SIDE), fill="orange")
    out = io.BytesIO()
    image.save(out, "JPEG", progressive=True)
    listing = scene.admin.post("/api/v1/listings/", {"title": "Costly"}).json()["id"]
    for number in range(COSTLY_FILES):
        # Bytes after a JPEG's end belong to no picture, but make the file another one.
        file = ("images", "costly.jpg", out.getvalue() + bytes([number]))
        scene.admin.post(f"/api/v1/listings/{listing}/images/", files=[file], timeout=120)
    yield
