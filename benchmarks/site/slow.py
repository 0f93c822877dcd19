"""What visitors and monitors notice of clients that send or read a byte a second.

A site as `make run` starts it, with two web processes. For each kind of slow client `--clients` of them are connected
for `--seconds`, while two visitors ask for the home page over and over, and a monitor asks for health at the public
address and at its own door. Slow clients that are let go come back at once.
"""

from __future__ import annotations

import argparse
import http.client
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.shared.background import Background
from tests.servers.stack import Stack

from .clients import drive_clients, find_percentile
from .filled import ENVIRON

VISITORS = 2
HOST = b"Host: localhost\r\n"
POST = b"POST /api/v1/search/image/ HTTP/1.1\r\n" + HOST
FORM = b"Content-Type: multipart/form-data; boundary=slow\r\n"
LARGE_FILE = b"/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
# What each kind sends at once; after that it sends or reads a byte a second.
KINDS = {
    "none": b"",
    "headers": b"GET / HTTP/1.1\r\n" + HOST + b"X-Slow: ",
    "bodies": POST + b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n",
    "uploads": POST + FORM + b"Content-Length: 3000000\r\n\r\n--slow\r\n",
    "chunks": POST + FORM + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n",
    "readers": b"GET " + LARGE_FILE + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "silent": b"",
}
UNANSWERED_SECONDS = 5.0
CROWD_SECONDS = 3.0
TRICKLE_EVERY_SECONDS = 1.0
ASK_EVERY_SECONDS = 0.25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, default=200, help="slow ones of each kind (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="for each kind (default: %(default)s)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="mp-bench-"))
    try:
        with Stack(folder / "var", environ=ENVIRON) as stack:
            drive_clients(stack.port, [["/"] * 50] * VISITORS)
            figures = {kind: _measure_kind(stack, kind, arguments) for kind in KINDS}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{'slow clients':14}" + "".join(f"{name:>20}" for name in figures["none"]))
    for kind, row in figures.items():
        print(f"{kind:14}" + "".join(f"{value:>20}" for value in row.values()))
    broken = sum(row["door_unanswered"] for row in figures.values())
    return {"clients": arguments.clients, "broken": broken, **figures}


def _measure_kind(stack: Stack, kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    with SlowClients(stack.port, kind, 0 if kind == "none" else arguments.clients) as slow:
        # What all of them ask for at once is a crowd, not slow; it is over by then.
        time.sleep(CROWD_SECONDS)
        monitors = [
            Monitor(lambda: stack.visitor().get("/health/live", timeout=UNANSWERED_SECONDS).status),
            Monitor(lambda: stack.health(timeout=UNANSWERED_SECONDS).status),
        ]
        load = drive_clients(stack.port, [["/"]] * VISITORS, seconds=arguments.seconds).summarise_answers()
        p99s = [monitor.stop() for monitor in monitors]
        return {
            "visits": load["requests"],
            "visits_unanswered": load["errors"],
            "visit_p50_ms": load["p50_ms"],
            "visit_p99_ms": load["p99_ms"],
            "health_p99_ms": p99s[0],
            "health_unanswered": monitors[0].unanswered,
            "door_p99_ms": p99s[1],
            "door_unanswered": monitors[1].unanswered,
            "let_go": slow.let_go,
        }


class SlowClients(Background):
    def __init__(self, port: int, kind: str, count: int) -> None:
        self._port, self._kind = port, kind
        self._connections = [self._connect() for _ in range(count)]
        self.let_go = 0
        super().__init__()

    def end(self) -> None:
        super().end()
        for connection in self._connections:
            connection.close()

    def _connect(self) -> socket.socket:
        connection = socket.socket()
        # Small, so that an answer cannot wait in the kernel for whoever does not read it.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(UNANSWERED_SECONDS)
        connection.connect(("127.0.0.1", self._port))
        connection.sendall(KINDS[self._kind])
        connection.setblocking(False)
        return connection

    def work(self) -> None:
        while not self.ended.wait(TRICKLE_EVERY_SECONDS):
            for place, connection in enumerate(self._connections):
                if not self._is_still_served(connection):
                    connection.close()
                    with suppress(OSError):  # it comes back in a second, and counts then
                        self._connections[place] = self._connect()
                        self.let_go += 1

    def _is_still_served(self, connection: socket.socket) -> bool:
        """Send a byte, or read one; whether that was possible, and no answer came to what is half sent."""
        try:
            if self._kind not in ("readers", "silent"):
                connection.send(b"x")
            is_readable = bool(connection.recv(1))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return is_readable and self._kind == "readers"


class Monitor(Background):
    """Asks four times a second; `stop` gives the 99th percentile of the milliseconds of good answers. `unanswered` are
    the others: refusals, errors, and silence of five seconds."""

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask
        self._times: list[float] = []
        self.unanswered = 0
        super().__init__()
        self.start()

    def work(self) -> None:
        while not self.ended.wait(ASK_EVERY_SECONDS):
            began = time.monotonic()
            if self._is_answered():
                self._times.append((time.monotonic() - began) * 1000)
            else:
                self.unanswered += 1

    def _is_answered(self) -> bool:
        try:
            return self._ask() == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self) -> float:
        self.end()
        return find_percentile(sorted(self._times), 99)
