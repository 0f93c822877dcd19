"""What a request may carry: how large, in which chunks, and where it waits."""

import errno
import json

import pytest

from marketplace.serving import server as serving
from tests.servers.waiting import wait_for

from .site import API, FORM, JSON, read_answer


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
        ("number", "status", "code"),
        [
            (errno.ENOSPC, 507, "storage_full"),
            (errno.EROFS, 503, "storage_unavailable"),
            (errno.EIO, 500, "server_error"),
        ],
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
        site.may_answer.clear()
        quick.sendall(b"x" * 10_000)
        wait_for(lambda: site.seen)
        late = site.connect(FORM + b"Content-Length: 1000000\r\n\r\n" + b"x" * 70_000)
        wait_for(lambda: sum(bool(channel.requests) for channel in site.server.active_channels.values()) == 2)
        site.may_answer.set()
        assert (read_answer(quick)[0], read_answer(late)[0]) == (200, 503)


CHUNKS = FORM + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        CHUNKS + b"1;" + b"a" * 300_000,
        CHUNKS + b"0\r\nX: " + b"a" * 300_000,
        CHUNKS + b"1\r\na\r\n" * 60_000,
        CHUNKS + b"6\r\naaaaaa\r\n" * 20_000,
        CHUNKS + b"\r\n" * 150_000,
        API + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    ],
    ids=["line", "trailer", "chunks of a byte", "chunks of six bytes", "empty lines", "digits"],
)
def test_what_only_costs_the_reading_thread_its_time_is_refused(site, sent):
    client = site.connect()
    client.sendall(sent)
    assert read_answer(client)[0] == 400
    assert site.seen == []


def test_honest_chunks_are_taken_however_many(site):
    client = site.connect(CHUNKS + (b"100\r\n" + b"a" * 256 + b"\r\n") * 2_000 + b"0\r\nX-Sum: 1\r\n\r\n")
    assert read_answer(client)[0] == 200
    assert [len(body) for *_, body in site.seen] == [512_000]
