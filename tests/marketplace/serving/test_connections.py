"""What a connection may do, asked over real sockets of a server whose clock the test sets."""

import errno
import json
import socket
import threading
import time
from contextlib import closing, suppress

import pytest
from waitress import wasyncore

from marketplace.serving import server as serving
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
        self.server = serving.make_server(self.answer, listener, self.connections, threads=1)
        self.server.now = lambda: self.clock
        self._is_running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def answer(self, environ, start_response):
        body = environ["wsgi.input"].read()
        self.seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("CONTENT_LENGTH"), body))
        self.may_answer.wait(10)
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

    def let_pass(self, seconds):
        """So much time, of which the server sees every second."""
        for _ in range(seconds):
            self.clock += 1
            time.sleep(0.004)

    def connect(self, data=b""):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        client.sendall(data)
        return client

    def close(self):
        self._is_running = False
        self._thread.join(5)
        wasyncore.close_all(self.connections)


@pytest.fixture
def site():
    with closing(Site()) as site:
        yield site


def read_answer(client):
    """Status and body; (0, b"") where the connection was closed without an answer."""
    data = b""
    with suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            data += chunk
            head, found, body = data.partition(b"\r\n\r\n")
            lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"content-length" in line.lower()]
            if found and len(body) >= sum(lengths):
                return int(head.split()[1]), body
    return 0, b""


@pytest.mark.parametrize(
    ("header", "statuses"),
    [
        (b"", [304, 304]),
        (b"Connection: close\r\n", [304, 0]),
        (b"Connection: keep-alive, Close\r\n", [304, 0]),
        (b"Connection: keep-alive, TE\r\n", [304, 304]),
    ],
)
def test_an_answer_without_a_body_leaves_its_connection_open(site, header, statuses):
    client = site.connect()
    answers = []
    for _ in statuses:
        with suppress(OSError):
            client.sendall(b"GET /unchanged HTTP/1.1\r\n" + HOST + header + b"\r\n")
        answers.append(read_answer(client)[0])
    assert answers == statuses


class TestSlowClients:
    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (API[:20], 408),
            (API + JSON + b"Content-Length: 99\r\n\r\n{", 408),
            (API + JSON + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{", 408),
            (b"", 0),
        ],
    )
    def test_a_request_that_does_not_come_is_given_up(self, site, sent, status):
        client = site.connect(sent)
        site.let_pass(22)
        answer = read_answer(client)
        assert answer[0] == status
        if status:
            assert json.loads(answer[1])["code"] == "request_timeout"
        assert site.seen == []

    def test_a_byte_a_second_earns_nothing(self, site):
        client = site.connect(API + JSON + b"Content-Length: 99\r\n\r\n")
        for _ in range(22):
            client.sendall(b" ")
            site.let_pass(1)
        assert read_answer(client)[0] == 408

    def test_an_upload_at_an_honest_pace_may_take_as_long_as_it_needs(self, site):
        client = site.connect(FORM + b"Content-Length: 120000\r\n\r\n")
        for _ in range(60):
            client.sendall(b"x" * 2_000)
            site.let_pass(1)
        assert read_answer(client)[0] == 200
        assert [len(body) for *_, body in site.seen] == [120_000]

    def test_they_hold_no_thread(self, site):
        slow = [site.connect(API + JSON + b"Content-Length: 99\r\n\r\n{") for _ in range(20)]
        slow += [site.connect(b"GET / HT") for _ in range(20)]
        assert read_answer(site.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"))[0] == 200
        assert len(slow) == 40

    def test_who_does_not_read_an_answer_holds_no_thread_and_is_let_go(self, site):
        deaf = site.connect(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        wait_for(lambda: site.seen)
        assert read_answer(site.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"))[0] == 200
        site.let_pass(22)
        wait_for(lambda: len(site.server.active_channels) == 1)
        deaf.close()

    def test_the_site_may_take_as_long_as_it_needs(self, site):
        site.may_answer.clear()
        client = site.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        wait_for(lambda: site.seen)
        site.let_pass(90)
        site.may_answer.set()
        assert read_answer(client)[0] == 200

    def test_a_kept_connection_is_closed_after_a_while(self, site):
        client = site.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert read_answer(client)[0] == 200
        site.let_pass(70)
        assert site.server.active_channels
        site.let_pass(8)
        assert client.recv(1) == b""

    def test_when_no_more_connections_fit_the_slowest_makes_room(self, site, monkeypatch):
        monkeypatch.setattr(serving, "LIMIT", 3)
        slow = [site.connect(API + JSON + b"Content-Length: 99\r\n\r\n{") for _ in range(3)]
        site.let_pass(5)
        client = site.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert read_answer(client)[0] == 200
        assert len(site.server.active_channels) == 3
        assert len(slow) == 3


class TestBodies:
    @pytest.mark.parametrize(
        "kind", [b"application/json", b"", b"application/x-www-form-urlencoded", b"text/multipart/"]
    )
    def test_only_a_form_with_photos_may_be_large_and_others_are_refused_unread(self, site, kind):
        head = API + b"Content-Type: " + kind + b"\r\n"
        status, body = read_answer(site.connect(head + b"Content-Length: 3000000\r\n\r\n"))
        assert (status, json.loads(body)["code"]) == (413, "too_large")
        chunks = b"Transfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + b"x" * 0x100000 + b"\r\n") * 3
        assert read_answer(site.connect(head + chunks))[0] == 413
        assert site.seen == []

    def test_a_form_larger_than_any_is_refused_unread(self, site, settings):
        head = FORM + b"Content-Length: %d\r\n\r\n"
        status, body = read_answer(site.connect(head % (settings.BODY_MAX_BYTES + 1)))
        assert (status, body) == (413, b"The request is too large.")
        assert site.seen == []

    def test_who_was_refused_reads_why_although_it_sends_all_of_it(self, site):
        client = site.connect(API + JSON + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert read_answer(client)[0] == 413

    def test_a_body_in_chunks_gets_its_length(self, site):
        chunks = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        assert read_answer(site.connect(API + JSON + chunks))[0] == 200
        assert site.seen == [("POST", "/api/v1/things/", "2", b"{}")]

    @pytest.mark.parametrize(
        ("number", "status", "code"), [(errno.ENOSPC, 507, "storage_full"), (errno.EIO, 500, "server_error")]
    )
    def test_a_disk_that_takes_nothing_is_named(self, site, monkeypatch, number, status, code):
        def refuse(*args, **kwargs):
            raise OSError(number, "no")

        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
        head = API + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 200000\r\n\r\n"
        answer = read_answer(site.connect(head + b"x" * 100_000))
        assert (answer[0], json.loads(answer[1])["code"]) == (status, code)

    def test_bodies_together_do_not_fill_the_disk(self, site, monkeypatch):
        monkeypatch.setattr(serving, "LONGEST_BODIES", 150_000)
        slow = site.connect(FORM + b"Content-Length: 1000000\r\n\r\n" + b"x" * 70_000)
        site.let_pass(9)
        quick = site.connect(FORM + b"Content-Length: 100000\r\n\r\n" + b"x" * 90_000)
        assert read_answer(slow)[0] == 503
        quick.sendall(b"x" * 10_000)
        assert read_answer(quick)[0] == 200


class TestStrictness:
    @pytest.mark.parametrize(
        ("request_line", "headers", "status"),
        [
            (b"POST /api/ HTTP/1.1", b"Content-Length: 2\r\nTransfer-Encoding: chunked", 400),
            (b"POST /api/ HTTP/1.0", b"Transfer-Encoding: chunked", 400),
            (b"POST /api/ HTTP/1.1", b"Content-Length: 2\r\nContent-Length: 2", 400),
            (b"POST /api/ HTTP/1.1", b"Content-Length: +2", 400),
            (b"POST /api/ HTTP/1.1", b"Transfer-Encoding: gzip, chunked", 501),
            (b"GET /api/ HTTP/1.1 x", b"X: 1", 400),
            (b"GET /api/" + b"a" * 5_000 + b" HTTP/1.1", b"X: 1", 414),
            (b"GET /api/ HTTP/1.1", b"X: " + b"a" * 40_000, 431),
        ],
    )
    def test_what_two_servers_could_read_differently_is_refused(self, site, request_line, headers, status):
        client = site.connect(request_line + b"\r\n" + HOST + headers + b"\r\n\r\n{}")
        assert read_answer(client)[0] == status
        assert site.seen == []

    def test_the_id_of_a_refused_request_is_in_its_answer(self, site):
        client = site.connect(API + b"X-Request-ID: mine-1\r\nContent-Length: x\r\n\r\n")
        assert b"X-Request-Id: mine-1" in client.recv(65536)

    def test_a_body_is_asked_for_only_where_it_is_wanted(self, site):
        wanted = site.connect(API + JSON + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert wanted.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wanted.sendall(b"{}")
        assert read_answer(wanted)[0] == 200
        too_large = site.connect(API + JSON + b"Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n")
        assert read_answer(too_large)[0] == 413

    def test_the_answer_to_head_has_a_length_and_no_body(self, site):
        client = site.connect(b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b"Content-Length: 4" in (answer := client.recv(65536))
        assert answer.endswith(b"\r\n\r\n")

    @pytest.mark.parametrize(
        ("trusted", "scheme"), [(["127.0.0.1"], b"https"), (["*"], b"https"), (["10.0.0.1"], b"http")]
    )
    def test_the_scheme_is_that_of_a_trusted_proxy(self, site, trusted, scheme):
        site.server.trusted = trusted
        head = b"GET / HTTP/1.1\r\n" + HOST + b"X-Forwarded-Proto: https\r\n\r\n"
        assert read_answer(site.connect(head)) == (200, scheme)


CHUNKS = FORM + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        CHUNKS + b"1;" + b"a" * 300_000,
        CHUNKS + b"0\r\nX: " + b"a" * 300_000,
        CHUNKS + b"1\r\na\r\n" * 60_000,
        CHUNKS + b"\r\n" * 150_000,
        API + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    ],
    ids=["line without end", "trailer without end", "chunks of a byte", "empty lines", "digits without end"],
)
def test_what_only_costs_the_reading_thread_its_time_is_refused(site, sent):
    client = site.connect(sent)
    assert read_answer(client)[0] == 400
    assert site.seen == []


def test_honest_chunks_are_taken_however_many(site):
    client = site.connect(CHUNKS + (b"100\r\n" + b"a" * 256 + b"\r\n") * 2_000 + b"0\r\nX-Sum: 1\r\n\r\n")
    assert (read_answer(client)[0], [len(body) for *_, body in site.seen]) == (200, [512_000])
