"""A web process of gunicorn that reads and writes all its connections on one thread, and answers on others.

gunicorn starts, watches, reloads and stops the processes; waitress speaks HTTP in each. Django is imported where it is
used, because gunicorn's first process imports this module and goes on through a reload.
"""

from __future__ import annotations

import os
import time
from types import FrameType
from typing import TYPE_CHECKING

from gunicorn.util import parse_address
from gunicorn.workers.base import Worker
from waitress import wasyncore

if TYPE_CHECKING:
    from .server import TcpServer, UnixServer

TICK = 1.0
# A client may be sending its next request over a kept connection when the process is told to stop.
STOP_SECONDS = 2.0


def is_door(address: object) -> bool:
    """Whether gunicorn listens there for health's own door: told by the address itself, because `--bind` and
    GUNICORN_CMD_ARGS may replace all addresses, and the public one must never show details."""
    door = os.environ.get("HEALTH_BIND")
    return bool(door) and address == parse_address(door)


class BufferingWorker(Worker):
    def init_process(self) -> None:
        self._connections: dict[int, object] = {}
        self._servers: list[TcpServer | UnixServer] = []
        super().init_process()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.alive = False
        for server in self._servers:
            server.pull_trigger()

    def run(self) -> None:
        self._servers = self._make_servers()
        while self.alive and os.getppid() == self.ppid:
            self._take_turn()
        self._finish_requests()

    def _make_servers(self) -> list[TcpServer | UnixServer]:
        from .door import THREADS, answer_monitors
        from .server import make_server

        servers = []
        for listener in self.sockets:
            if is_door(listener.cfg_addr):
                servers.append(make_server(answer_monitors, listener.sock, self._connections, THREADS))
                continue
            server = make_server(self.wsgi, listener.sock, self._connections, self.cfg.threads)
            server.trusted = self.cfg.forwarded_allow_ips
            server.trusted_networks = self.cfg.forwarded_allow_networks()
            server.finish_request = lambda: self.cfg.post_request(self, None, {}, None)
            servers.append(server)
        return servers

    def _take_turn(self) -> None:
        wasyncore.loop(TICK, use_poll=True, map=self._connections, count=1)
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + TICK
            self.notify()
            for server in self._servers:
                server.look_after()

    _look_at = 0.0

    def _finish_requests(self) -> None:
        """Take no new connection, and answer what is on its way, within `graceful_timeout`."""
        began = time.monotonic()
        for server in self._servers:
            server.stop_accepting()
        while time.monotonic() < began + self.cfg.graceful_timeout and self._is_needed(time.monotonic() - began):
            self._take_turn()

    def _is_needed(self, seconds: float) -> bool:
        if seconds < STOP_SECONDS:
            return any(server.active_channels for server in self._servers)
        return any(server.is_busy for server in self._servers)
