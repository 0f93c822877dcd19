"""What a connection may do, asked over real sockets of a server whose clock the test sets."""

import json
import os
import resource
import socket
from contextlib import contextmanager, suppress
from ipaddress import ip_network

import pytest

from marketplace.serving import server as serving
from tests.servers.waiting import wait_for

from .site import API, FORM, HOST, JSON, read_answer


@contextmanager
def no_more_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(lowest := os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


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


def test_who_does_not_wait_for_an_answer_gets_one_and_has_to_ask_again(site):
    client = site.connect((b"GET /unchanged HTTP/1.1\r\n" + HOST + b"\r\n") * 3)
    answers = b"".join(iter(lambda: client.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 304") == 1
    assert b"Connection: close" in answers
    assert len(site.seen) == 1


def test_a_view_that_asks_to_exit_ends_its_connection_and_no_thread(site):
    assert read_answer(site.connect(b"GET /exit HTTP/1.1\r\n" + HOST + b"\r\n")) == (0, b"")
    assert read_answer(site.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"))[0] == 200


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

    @pytest.mark.parametrize("requests", [1, 5])
    def test_who_does_not_read_an_answer_holds_no_thread_and_is_let_go(self, site, requests):
        deaf = site.connect((b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n") * requests)
        wait_for(lambda: site.seen)
        # Answers take turns with those of other connections.
        for _ in range(1 + requests):
            assert read_answer(site.connect(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"))[0] == 200
        site.let_pass(62)
        wait_for(lambda: not site.server.active_channels)
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

    def test_when_the_process_has_no_descriptor_left_the_slowest_makes_room(self, site):
        slow = site.connect(API + JSON + b"Content-Length: 99\r\n\r\n{")
        site.let_pass(5)
        with socket.socket() as client:
            client.settimeout(5)
            with no_more_descriptors():
                client.connect(("127.0.0.1", site.port))
                client.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
                assert read_answer(client)[0] == 200
        assert slow.recv(1) == b""


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
        answer = client.recv(65536)
        assert b"X-Request-Id: mine-1" in answer
        assert b"Cache-Control: no-store" in answer

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
        ("trusted", "scheme"),
        [("127.0.0.1", b"https"), ("127.0.0.0/16", b"https"), ("*", b"https"), ("10.0.0.0/8", b"http")],
    )
    def test_the_scheme_is_that_of_a_trusted_proxy(self, site, trusted, scheme):
        site.server.trusted = [trusted]
        site.server.trusted_networks = [ip_network(trusted)] if trusted != "*" else []
        head = b"GET / HTTP/1.1\r\n" + HOST + b"X-Forwarded-Proto: https\r\n\r\n"
        assert read_answer(site.connect(head)) == (200, scheme)
