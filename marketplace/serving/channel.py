"""One connection: a request reaches a thread only when all of it is here, and an answer leaves as its client reads.

What waitress does by itself; added are how long a client may take, and that a refused one can read why.
"""

from __future__ import annotations

import logging
import socket
from contextlib import suppress

from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from .pace import ANSWER, BODY, HEADER, IDLE, LINGERING, Pace, Stage
from .parser import LimitedParser
from .refusals import Refusal, RefusalTask

logger = logging.getLogger(__name__)

SEND_BYTES = 128 * 1024


class SiteTask(WSGITask):
    def service(self) -> None:
        server = self.channel.server
        if server.is_stopping or self.channel.has_more_requests():
            self.set_close_on_finish()
        try:
            super().service()
            self.channel.flush()
        finally:
            server.finish_request()

    def execute(self) -> None:
        try:
            super().execute()
        # What a view raises Django answers. This is a file that cannot be read while it is sent, or an answer that has
        # no room to wait for its client.
        except OSError:
            logger.exception("an answer was broken off: %s", self.request.path)
            raise

    def write(self, data: bytes) -> None:
        super().write(b"" if self.request.command == "HEAD" else data)
        if self.request.command == "HEAD":
            self.chunked_response = False

    def set_close_on_finish(self) -> None:
        # waitress takes an answer without a length for one that ends with its connection, although 204 and 304 have no
        # body: a page whose pictures are all unchanged would need a connection for each.
        is_asked = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or is_asked or self.version == "1.0":
            super().set_close_on_finish()

    def get_environment(self) -> dict[str, object]:
        environ = super().get_environment()
        if self.request.command == "HEAD":
            # A file given to the wrapper would be sent past `write`.
            environ.pop("wsgi.file_wrapper", None)
        if environ.get("HTTP_X_FORWARDED_PROTO") == "https" and self.channel.server.trusts(environ["REMOTE_ADDR"]):
            environ["wsgi.url_scheme"] = "https"
        return environ


class Channel(HTTPChannel):
    task_class = SiteTask
    error_task_class = RefusalTask
    parser_class = LimitedParser

    request: LimitedParser | None  # the one that comes in
    requests: list[LimitedParser]  # those that are here
    sendbuf_len: int
    bytes_received = 0
    bytes_sent = 0
    was_refused = False
    is_lingering = False

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.pace = Pace(self.server.now())
        # Of a file that is sent this much is read at a time, and read again where the client takes less of it.
        self.sendbuf_len = min(self.sendbuf_len, SEND_BYTES)

    # How long the client may take

    def find_stage(self) -> tuple[Stage | None, object, int]:
        """What this connection waits for its client with, none while the site works; the request; bytes passed."""
        request = self.request
        if self.is_lingering:
            return LINGERING, None, 0
        if self.total_outbufs_len:
            return ANSWER, self.bytes_received, self.bytes_sent
        if self.requests:
            return None, None, 0
        if request is None:
            return (IDLE if self.bytes_received else HEADER), self.bytes_received, 0
        if not request.headers_finished:
            return HEADER, request, 0
        return BODY, request, request.body_bytes_received

    def look_at_pace(self, now: float) -> None:
        self.pace.look(now, *self.find_stage())
        if self.pace.is_used_up:
            self.give_up()

    def give_up(self, status: int = 408) -> None:
        """Let the client go: with a refusal where it waits for an answer, else without a word."""
        if self.request is None or self.requests or self.total_outbufs_len:
            # Not `will_close`, which acts when the socket can be written to: never, while the client does not read.
            self.handle_close()
            return
        with self.requests_lock:
            request, self.request = self.request, None
            request.error, request.completed = Refusal(status), True
            # Its body is deleted now, or others would be refused for it until a thread has answered.
            request.close()
            self.requests.append(request)
            self.server.add_task(self)

    @property
    def body_bytes(self) -> int:
        """Of the request that comes in, and of what is here and waits for a thread or is in work."""
        return sum(one.body_bytes_received for one in (*self.requests, self.request) if one and not one.error)

    def has_more_requests(self) -> bool:
        """Whether a client has sent the next request without waiting for its answer, as no browser does.

        One answer lies in files until it is read; a thread would wait for room for those after it. They are not given:
        the connection is closed behind the first, and the client has to ask again.
        """
        # Held by the loop until it has read all of a packet.
        with self.requests_lock:
            return len(self.requests) > 1

    # What waitress calls

    def flush(self) -> None:
        """Send what a task has written, headers and body together; the loop sends what the client does not take yet."""
        with self.outbuf_lock:
            self._flush_exception(self._flush_some, do_close=False)

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent = super().send(data, do_close)
        self.bytes_sent += sent
        return sent

    def received(self, data: bytes) -> bool:
        self.bytes_received += len(data)
        return super().received(data)

    def readable(self) -> bool:
        return self.is_lingering or super().readable()

    def writable(self) -> bool:
        # What a task has written it sends itself, so until then the loop would find nothing to do, again and again.
        is_left_to_task = self.requests and self.total_outbufs_len < self.adj.send_bytes and not self.will_close
        return bool(not is_left_to_task and super().writable())

    def handle_read(self) -> None:
        if self.is_lingering:
            with suppress(OSError):
                # Read and forgotten; at the end of it `recv` closes the connection.
                self.recv(self.adj.recv_bytes)
        else:
            super().handle_read()

    def handle_write(self) -> None:
        if self.close_when_flushed and self.was_refused and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.total_outbufs_len and not self.will_close:
                self._linger()
        else:
            super().handle_write()

    def _linger(self) -> None:
        """Say that nothing more will come, and go on reading: closing at once would tear the answer away from a client
        that still sends."""
        self.close_when_flushed, self.is_lingering = False, True
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
