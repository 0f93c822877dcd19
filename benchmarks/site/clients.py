"""Clients, each a process of its own, that ask one request after another and time the answers.

They are closed loops: a client asks again once it was answered. `python -m benchmarks.site.clients` is one client; it
loads nothing but the standard library, because it computes on the cores that the servers answer with.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

STARTING_SECONDS = 1.0  # after which all processes have started, so that they begin to ask together
PATIENCE_SECONDS = 60.0
BEHIND = re.compile(rb'"behind":(\d+)')


@dataclass(frozen=True)
class Load:
    """The answers of all clients, each as (end in monotonic seconds, milliseconds, status, results, changes behind).

    The status is 0 where no answer came.
    """

    answers: list[tuple[float, float, int, int, int]]

    def summarise_answers(self) -> dict[str, Any]:
        """Percentiles of the milliseconds of good answers, and how many requests had none."""
        good = [answer for answer in self.answers if answer[2] == 200]
        times = sorted(milliseconds for _, milliseconds, *_ in good)
        ends = sorted(end for end, *_ in self.answers)
        first = min((end - milliseconds / 1000 for end, milliseconds, *_ in self.answers), default=0.0)
        return {
            "p50_ms": find_percentile(times, 50),
            "p99_ms": find_percentile(times, 99),
            "rps": round(len(good) / (ends[-1] - first), 1) if good else 0.0,
            "errors": len(self.answers) - len(good),
            "requests": len(self.answers),
            "results_mean": round(sum(results for *_, results, _ in good) / len(good), 1) if good else 0.0,
        }

    @property
    def most_behind(self) -> int:
        return max((behind for *_, behind in self.answers), default=0)


def find_percentile(ordered: Sequence[float], percent: float) -> float:
    """The value that so many percent of the ordered ones lie below, rounded to a tenth; nan where there are none."""
    if not ordered:
        return float("nan")
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))], 1)


class Clients:
    """Clients that have been started; `wait_for_answers` waits until they have ended.

    `paths` holds a list for each client, which asks for them once, or for `seconds` over and over.
    """

    def __init__(self, port: int, paths: Sequence[Sequence[str]], *, seconds: float = 0, keep: bool = True) -> None:
        start = time.monotonic() + STARTING_SECONDS
        self._processes = []
        for own in paths:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.site.clients"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdin  # noqa: S101 - it is a pipe
            task = {"port": port, "paths": list(own), "start": start, "seconds": seconds, "keep": keep}
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            self._processes.append(process)

    def wait_for_answers(self) -> Load:
        every: list[tuple[float, float, int, int, int]] = []
        for process in self._processes:
            output = process.communicate()[0]
            if process.returncode:
                raise RuntimeError(f"a client ended with status {process.returncode}")
            every += (tuple(answer) for answer in json.loads(output))
        return Load(every)


def drive_clients(port: int, paths: Sequence[Sequence[str]], *, seconds: float = 0, keep: bool = True) -> Load:
    return Clients(port, paths, seconds=seconds, keep=keep).wait_for_answers()


class Asker:
    """A connection that is made again when it breaks, or for each request unless it is to be kept."""

    def __init__(self, port: int, *, keep: bool = True) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        self._keep = keep

    def request_path(self, path: str) -> tuple[int, bytes]:
        """The status and the body of the answer; 0 and no bytes where none came."""
        status, body = 0, b""
        with suppress(OSError, http.client.HTTPException):
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
            status, body = answer.status, answer.read()
        if not status or not self._keep:
            self._connection.close()
        return status, body


def main() -> None:
    task = json.loads(sys.stdin.readline())
    asker, paths = Asker(task["port"], keep=task["keep"]), task["paths"]
    time.sleep(max(0.0, task["start"] - time.monotonic()))
    end = time.monotonic() + task["seconds"]
    answers = []
    number = 0
    while time.monotonic() < end if task["seconds"] else number < len(paths):
        began = time.monotonic()
        status, body = asker.request_path(paths[number % len(paths)])
        ended = time.monotonic()
        behind = BEHIND.search(body)
        answers.append((ended, (ended - began) * 1000, status, body.count(b'"rank":'), int(behind[1]) if behind else 0))
        number += 1
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
