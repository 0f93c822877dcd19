"""Short questions to what was started: does the broker answer, is the site ready?"""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

from .errors import CannotStart


def is_broker_reachable(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class DoorConnection(http.client.HTTPConnection):
    """A connection to health's own door: `unix:/path`, or `host:port`."""

    def __init__(self, bind: str, timeout: float = 2) -> None:
        self._path = bind.removeprefix("unix:") if bind.startswith("unix:") else ""
        super().__init__("localhost" if self._path else bind, timeout=timeout)

    def connect(self) -> None:
        if not self._path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def fetch_readiness_status(bind: str) -> int | None:
    """The status of /health/ready, or None while nothing answers."""
    connection = DoorConnection(bind)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def refuse_port_in_use(port: int) -> None:
    with socket.socket() as listener:
        # gunicorn binds with this option too: without it a port looks taken for a minute after the site was stopped.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as exc:
            raise CannotStart(
                f"port {port} of 127.0.0.1 is not free ({exc.strerror}). Try another: PORT={port + 1} make run"
            ) from exc
