"""A listening socket and its connections, of which no number is ever so large that nobody else gets in."""

from __future__ import annotations

import errno
import shutil
import socket
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer, UnixWSGIServer

from marketplace.paths import find_temporary_directory
from marketplace.wsgi import WSGI

from .channel import Channel
from .threads import TaskThreads

LONGEST_HEADERS = 32 * 1024
# A thousand slow clients may hold that much memory each; what is longer waits on disk.
IN_MEMORY, OUT_MEMORY = 64 * 1024, 256 * 1024
# Bodies on their way to one process may take this much of the disk, and half of what is free at most.
LONGEST_BODIES = 4 * 1024**3
LIMIT = 1000  # connections of a process
# A process, or the machine, has no number left to call another connection by.
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


class Server:
    """What both kinds of socket share; `look_after` is called by the loop, about once a second."""

    channel_class = Channel
    is_stopping = False
    is_full = False
    now = staticmethod(time.monotonic)

    active_channels: dict[int, Channel]
    trusted: Collection[str] = ()
    trusted_networks: Collection[IPv4Network | IPv6Network] = ()
    finish_request: Callable[[], None] = staticmethod(lambda: None)

    def trusts(self, address: str) -> bool:
        """Whether X-Forwarded-Proto of a proxy there is believed."""
        if "*" in self.trusted:
            return True
        with suppress(ValueError):
            return any(ip_address(address) in network for network in self.trusted_networks)
        return False

    def readable(self) -> bool:
        return bool(self.accepting) and not self.is_full

    def accept(self) -> tuple[socket.socket, object] | None:
        try:
            return super().accept()  # type: ignore[misc]
        except OSError as exc:
            if exc.errno in NO_DESCRIPTOR:
                # Else the loop would hear of the same connection again at once, and again, and could take none.
                self.is_full = not self._close_slowest()
            raise

    def handle_accept(self) -> None:
        super().handle_accept()  # type: ignore[misc]
        if len(self.active_channels) > LIMIT:
            self._close_slowest()

    def look_after(self) -> None:
        now, self.is_full = self.now(), False
        for channel in list(self.active_channels.values()):
            channel.look_at_pace(now)
        self._bound_bodies(now)

    def stop_accepting(self) -> None:
        self.accepting, self.is_stopping = False, True

    @property
    def is_busy(self) -> bool:
        """Whether some request is on its way, in work, or being answered."""
        return any(channel.requests or channel.request or channel.total_outbufs_len for channel in self._channels())

    def _channels(self) -> list[Channel]:
        return list(self.active_channels.values())

    def _close_slowest(self) -> bool:
        """Who is here longest for nothing makes room for who has just come."""
        waiting = [channel for channel in self._channels() if channel.pace.stage]
        if waiting:
            min(waiting, key=lambda channel: channel.pace.share_left).handle_close()
        return bool(waiting)

    def _bound_bodies(self, now: float) -> None:
        """Refuse the slowest body that still comes while all of them take more of the disk than they may."""
        channels = self._channels()
        total = sum(channel.body_bytes for channel in channels)
        coming = [channel for channel in channels if channel.request and channel.body_bytes]
        if coming and total > IN_MEMORY and total > min(LONGEST_BODIES, self._measure_room()):
            min(coming, key=lambda channel: channel.body_bytes / (now - channel.pace.since + 1)).give_up(503)

    def _measure_room(self) -> int:
        try:
            return shutil.disk_usage(find_temporary_directory()).free
        # What cannot be measured takes nothing; the loop, which nobody starts again, goes on.
        except OSError:
            return 0


class TcpServer(Server, TcpWSGIServer):
    def set_socket_options(self, conn: socket.socket) -> None:
        """Send at once, and have the kernel ask a silent client whether it is there still."""
        super().set_socket_options(conn)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class UnixServer(Server, UnixWSGIServer):
    def trusts(self, address: str) -> bool:
        """Who may open the socket's file is a proxy of this machine."""
        return True


def make_server(
    application: WSGI, listener: socket.socket, connections: dict[int, object], threads: int
) -> TcpServer | UnixServer:
    """A server on a socket that listens already; `connections` is the map that the loop polls."""
    is_unix = listener.family == socket.AF_UNIX
    name = "localhost" if is_unix else listener.getsockname()[0]
    settings = Adjustments(
        ident=None,
        server_name=name,
        backlog=2048,
        recv_bytes=64 * 1024,
        inbuf_overflow=IN_MEMORY,
        outbuf_overflow=OUT_MEMORY,
        max_request_header_size=LONGEST_HEADERS,
        # Who breaks a connection off is no error of ours.
        log_socket_errors=False,
        clear_untrusted_proxy_headers=False,
    )
    # waitress would send headers and body each by itself, and every such call may hand Python's lock to another thread.
    settings.send_bytes = 64 * 1024
    return (UnixServer if is_unix else TcpServer)(
        application,
        connections,
        _sock=listener,
        dispatcher=TaskThreads(threads),
        adj=settings,
        bind_socket=False,
        sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
    )
