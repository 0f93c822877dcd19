"""The benchmark of slow clients counts health that is not answered, and keeps its clients coming."""

from __future__ import annotations

import math
import socket

import pytest

from benchmarks.site import slow
from tests.servers.waiting import wait_for


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(slow, "ASK_EVERY_SECONDS", 0.005)
    monkeypatch.setattr(slow, "TRICKLE_EVERY_SECONDS", 0.02)


@pytest.mark.parametrize("answer", [200, 503, 404, ConnectionRefusedError, TimeoutError])
def test_only_200_is_an_answer_of_health(answer):
    asked = []

    def ask():
        asked.append(1)
        if isinstance(answer, int):
            return answer
        raise answer

    monitor = slow.Monitor(ask)
    wait_for(lambda: len(asked) > 3)
    p99 = monitor.stop()
    assert (monitor.unanswered, math.isnan(p99)) == ((0, False) if answer == 200 else (len(asked), True))


def test_slow_clients_come_back_to_a_server_that_was_away():
    with socket.create_server(("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        clients = slow.SlowClients(port, "headers", 3)
        for _ in range(3):
            first.accept()[0].close()
    with clients:
        wait_for(lambda: all(one.fileno() == -1 for one in clients._connections))
        assert clients.let_go == 0
        with socket.create_server(("127.0.0.1", port)):
            wait_for(lambda: clients.let_go == 3)
