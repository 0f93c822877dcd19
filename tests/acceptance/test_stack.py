"""What `make run` promises: it comes up, it survives its parts, it ends without a trace, it comes back quickly."""

import http.client
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.factories import draw_photo
from tests.servers.stack import PASSWORD, alive
from tests.servers.visitor import encode


def send_in_chunks(stack, method, path, pieces, headers):
    """Send a body without saying how long it is; the status and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    connection.request(method, path, iter(pieces), headers, encode_chunked=True)
    response = connection.getresponse()
    return response.status, response.read()


def send_raw(stack, request):
    """The status of what is answered to these very bytes; 0 where the connection is closed without an answer."""
    with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as connection:
        connection.sendall(request)
        line = connection.makefile("rb").readline()
    return int(line.split()[1]) if line else 0


def gone(pids):
    return lambda: not any(alive(pid) for pid in pids)


class TestRunning:
    def test_answers_visitors_and_staff(self, stack):
        visitor = stack.visitor()
        assert "<html" in visitor.get("/").expect(200).text
        assert "untrained" not in visitor.get("/").text.lower()
        visitor.get("/api/docs/").expect(200)
        staff = stack.visitor().sign_in("admin", PASSWORD)
        assert "Site administration" in staff.get("/admin/").expect(200).text
        stack.admin().get("/api/v1/listings/").expect(200)

    def test_takes_a_body_in_chunks(self, stack):
        staff = stack.admin()
        listing = staff.post("/api/v1/listings/", {"title": "Lamp", "price": "12.50"}).expect(201).json()
        path = f"/api/v1/listings/{listing['id']}/"
        own = {"Authorization": f"Token {staff.token}", "Content-Type": "application/json"}
        status, _ = send_in_chunks(stack, "PATCH", path, [b'{"price": ', b'"99.00"}'], own)
        assert (status, staff.get(path).json()["price"]) == (200, "99.00")
        body, form = encode(None, {}, [("image", "a.jpg", draw_photo(size=(200, 200)))])
        status, answer = send_in_chunks(stack, "POST", "/api/v1/search/image/", [body[:99], body[99:]], form)
        assert status == 200 or json.loads(answer)["code"] in {"index_not_ready", "model_not_ready"}
        assert send_in_chunks(stack, "POST", "/search/photo/", [body], form)[0] == 403

    @pytest.mark.parametrize("length", ["-5", "+5", "5 5", "5, 6", "0x5", "1_0"])
    def test_never_guesses_the_length_of_a_body(self, stack, length):
        head = f"POST /api/v1/token/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
        assert send_raw(stack, f"{head}Content-Type: application/json\r\n\r\n{{}}   ".encode()) in {0, 400}

    @pytest.mark.parametrize("chunks", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}xx0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n"])
    def test_refuses_chunks_that_are_none(self, stack, chunks):
        head = b"POST /api/v1/token/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        assert send_raw(stack, head + b"Content-Type: application/json\r\n\r\n" + chunks) in {0, 400}

    def test_lets_a_client_ask_before_it_sends_a_body(self, stack):
        head = b"POST /api/v1/token/ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
        assert send_raw(stack, head + b"Content-Type: application/json\r\n\r\n") in {100, 400, 417}

    def test_slow_clients_keep_nobody_waiting(self, stack):
        """Twenty of each kind, of whom eight would hold every thread if they held any."""
        head = b"POST /api/v1/token/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        chunk = b"Transfer-Encoding: chunked\r\n\r\n1\r\n"
        slow = []
        for sent in (b"GET / HTTP/1.1\r\nHost: loc", head + b"Content-Length: 900\r\n\r\n", head + chunk):
            for _ in range(20):
                slow.append(socket.create_connection(("127.0.0.1", stack.port)))
                slow[-1].sendall(sent)
        visitor, end = stack.visitor(), time.monotonic() + 2
        times: list[float] = []
        while time.monotonic() < end:
            for connection in slow:
                connection.sendall(b"x" if len(times) % 2 else b" ")
            began = time.monotonic()
            visitor.get("/", timeout=5).expect(200)
            visitor.get("/health/live", timeout=5).expect(200)
            times.append(time.monotonic() - began)
            assert "details" in stack.health().json()
        assert len(times) > 3
        for connection in slow:
            connection.close()

    def test_embeds_a_photo_and_finds_it_from_whatever_folder_it_runs_in(self, stack):
        admin = stack.admin()
        listing = admin.post("/api/v1/listings/", {"title": "Red chair", "currency": "GBP"}).expect(201).json()["id"]
        photo = draw_photo(3, size=(200, 200))
        admin.post(f"/api/v1/listings/{listing}/images/", files=[("images", "chair.jpg", photo)]).expect(201)

        def found():
            answer = admin.post("/api/v1/search/image/", files=[("image", "chair.jpg", photo)]).expect(200)
            return [result["listing"]["id"] for result in answer.json()["results"]]

        stack.wait_for(lambda: found() == [listing], "the photo is embedded and found")
        assert Path(f"/proc/{stack.pids()['web']}/cwd").readlink().name == "My Sité (1) 100% #2?"
        stack.wait_for(lambda: stack.health().json()["status"] == "ok", "all processes are heard of")

    def test_keeps_its_secrets_to_its_owner(self, stack):
        modes = {name: oct((stack.var / name).stat().st_mode & 0o777) for name in (".", "run", "secret-key")}
        assert modes == {".": "0o700", "run": "0o700", "secret-key": "0o600"}

    def test_listens_on_loopback_only(self, stack):
        listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        mine = [row[1].split(":")[0] for row in listening if row[1].endswith(f":{stack.port:04X}") and row[3] == "0A"]
        assert mine == ["0100007F"]

    def test_runs_numeric_libraries_on_one_thread_in_every_service(self, stack):
        for name in ("web", "embedding-1", "indexing", "default"):
            environ = Path(f"/proc/{stack.pids()[name]}/environ").read_bytes().split(b"\0")
            assert b"OMP_NUM_THREADS=1" in environ, name

    @pytest.mark.parametrize("name", ["embedding-1", "indexing", "default", "beat", "broker", "web"])
    def test_starts_a_killed_process_again(self, stack, name):
        old = stack.kill(name)
        stack.wait_for_restart(name, old)
        stack.wait_for(stack.ready, "the site is ready again")
        assert f"{name:<11}│ ended with status -9; starts again in" in stack.log()

    def test_a_killed_web_worker_is_replaced_without_an_outage(self, stack):
        old = stack.wait_for(lambda: len(stack.web_workers()) == 2 and stack.web_workers(), "both web workers are up")
        os.kill(old[0], signal.SIGKILL)
        stack.wait_for(lambda: len(stack.web_workers()) == len(old) and old[0] not in stack.web_workers(), "a new one")
        stack.visitor().get("/").expect(200)

    def test_refuses_a_second_start_on_the_same_data(self, stack):
        from tests.servers.stack import Stack

        second = Stack(stack.var)
        second.log_file = stack.var.with_name("second.log")
        with pytest.raises(AssertionError, match=f"process {stack.pids()['supervisor']} already runs on"):
            second.start(timeout=20)
        second.stop()
        assert stack.ready()

    def test_refuses_a_port_in_use(self, stack, new_stack):
        second = new_stack(environ={"PORT": str(stack.port)})
        with pytest.raises(AssertionError, match=f"port {stack.port} of 127.0.0.1 is not free"):
            second.start(timeout=20)


def test_ctrl_c_and_kill_9_stop_everything_and_the_next_start_keeps_the_data(new_stack):
    stack = new_stack(embedding=2).start()
    listing = {"title": "Kept over a restart", "currency": "GBP"}
    number = stack.admin().post("/api/v1/listings/", listing).expect(201).json()["id"]
    pids = stack.all_pids()
    assert len(pids) > 8
    assert stack.stop() == 0
    assert gone(pids)()
    began = time.monotonic()
    stack.start()
    assert time.monotonic() - began < 20
    assert stack.visitor().get(f"/api/v1/listings/{number}/").expect(200).json()["title"] == "Kept over a restart"
    pids = stack.all_pids()
    stack.kill_supervisor()
    stack.wait_for(gone(pids), "every process is gone", timeout=10)
    stack.start()


def test_the_demo_catalogue_is_drawn_once_while_the_site_answers(new_stack):
    stack = new_stack(demo=2).start()
    stack.wait_for(lambda: (stack.var / "demo").read_text() == "done\n", "the demo is drawn", timeout=120)
    assert "Demo catalogue: 2 listings" in stack.log()
    assert stack.visitor().get("/api/v1/listings/").expect(200).json()["results"]
    stack.stop()
    stack.start()
    time.sleep(1)
    assert "demo" not in stack.pids()
    assert stack.log().count("drawing the demo catalogue") == 1
