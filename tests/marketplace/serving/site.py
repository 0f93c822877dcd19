"""A server over real sockets whose clock the test sets, and what clients send to it."""

import socket
import threading
from contextlib import suppress

from waitress import wasyncore

from marketplace.serving.server import make_server
from tests.servers.waiting import wait_for

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
API = b"POST /api/v1/things/ HTTP/1.1\r\n" + HOST
FORM = b"POST /sell/ HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=x\r\n"
LARGE = b"x" * 8_000_000


class Site:
    """One server, its loop on a thread, and an application that says what it was given."""

    def __init__(self):
        self.clock, self.seen = 1000.0, []
        self.connections: dict[int, object] = {}
        self.may_answer = threading.Event()
        self.may_answer.set()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.server = make_server(self.answer, listener, self.connections, threads=1)
        self.server.now = lambda: self.clock
        self._is_running, self._looks = True, 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def answer(self, environ, start_response):
        body = environ["wsgi.input"].read()
        self.seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("CONTENT_LENGTH"), body))
        self.may_answer.wait(10)
        if environ["PATH_INFO"] == "/exit":
            raise SystemExit
        if environ["PATH_INFO"] == "/unchanged":
            start_response("304 Not Modified", [("Content-Length", "0")])
            return []
        answer = LARGE if environ["PATH_INFO"] == "/large" else environ["wsgi.url_scheme"].encode()
        start_response("200 OK", [("Content-Length", str(len(answer)))])
        return [answer]

    def _run(self):
        while self._is_running:
            wasyncore.loop(0.001, use_poll=True, map=self.connections, count=1)
            self.server.look_after()
            self._looks += 1

    def let_pass(self, seconds):
        """So much time, of which the server sees every second."""
        for _ in range(seconds):
            self._wait_for_a_look()
            self.clock += 1
        self._wait_for_a_look()

    def _wait_for_a_look(self):
        """One turn to take a connection, one to read from it, and one that has begun already."""
        enough = self._looks + 3
        wait_for(lambda: self._looks >= enough)

    def connect(self, data=b""):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        client.sendall(data)
        return client

    def close(self):
        self._is_running = False
        self._thread.join(5)
        wasyncore.close_all(self.connections)


def read_answer(client):
    """Status and body; (0, b"") where the connection was closed without an answer."""
    data = b""
    with suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            data += chunk
            head, found, body = data.partition(b"\r\n\r\n")
            length = next(
                (int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"content-length" in line.lower()), 0
            )
            if found and len(body) >= length:
                return int(head.split()[1]), body
    return 0, b""
