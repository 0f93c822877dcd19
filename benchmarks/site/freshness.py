"""How long after a photo's 201 every web process finds its listing.

Real processes started as `make run` starts them, two web servers, one embedding worker, a database that already holds
`--present` listings with vectors. Each of `--saves` listings gets a price of its own; both servers are asked every
20 ms for listings of that price that look like the first one, until both show it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from marketplace.paths import health_socket_path
from tests.servers.stack import UNTHROTTLED, Stack, ask_at_door, free_port
from tests.servers.visitor import Visitor

from .photos import load_or_draw_photos

POLL_SECONDS = 0.02
LOST_SECONDS = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--saves", type=int, default=200)
    parser.add_argument("--present", type=int, default=10_000, help="listings that are there before (default 10000)")
    parser.add_argument("--database-url", default="", help="a PostgreSQL to use instead of SQLite")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="mp-bench-"))
    try:
        with Stack(folder / "var", web=1, database_url=arguments.database_url, environ=UNTHROTTLED) as stack:
            return _measure_freshness(stack, arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure_freshness(stack: Stack, arguments: argparse.Namespace) -> dict[str, Any]:
    print(f"storing {arguments.present} listings with vectors …", flush=True)
    stack.run("-m", "benchmarks.site.seed", str(arguments.present))
    second = free_port()
    doors = (health_socket_path(stack.var), stack.var.with_name("second.sock"))
    server = stack.spawn(
        "-m", "gunicorn", "-c", "python:marketplace.serving.gunicorn", "marketplace.wsgi",
        PORT=str(second), HEALTH_BIND=f"unix:{doors[1]}", LOG_LEVEL="WARNING",
    )  # fmt: skip
    try:
        admin = stack.admin()
        ports = (stack.port, second)
        stack.wait_for(lambda: all(_serves_rows(door, arguments.present) for door in doors), "both servers are warm")
        anchor = admin.get("/api/v1/listings/?limit=1").json()["results"][0]["id"]
        pictures = load_or_draw_photos(arguments.saves)
        waits = [
            _save_and_wait(admin, ports, anchor, number, picture)
            for number, picture in enumerate(tqdm(pictures, "saves", disable=not sys.stderr.isatty()))
        ]
    finally:
        server.terminate()
        server.wait(20)
    found = np.array([wait for wait in waits if wait is not None]) * 1000
    p50, p95, p99 = np.percentile(found, [50, 95, 99]) if len(found) else (np.nan,) * 3
    return {
        "p50_ms": round(float(p50), 1),
        "p95_ms": round(float(p95), 1),
        "p99_ms": round(float(p99), 1),
        "lost": sum(wait is None for wait in waits),
        "saves": arguments.saves,
        "present": arguments.present,
        "database": "postgresql" if arguments.database_url else "sqlite",
    }


def _serves_rows(door: Path, count: int) -> bool:
    """Whether the server has an index of at least so many rows."""
    try:
        health = ask_at_door(f"unix:{door}")
    except OSError:  # still starting
        return False
    return health.status == 200 and int(health.json()["details"]["index"]["rows"]) >= count


def _save_and_wait(admin: Visitor, ports: tuple[int, ...], anchor: int, number: int, picture: bytes) -> float | None:
    """Save a listing; returns the seconds from its photo's 201 until both servers showed it, None if one never did."""
    price = f"{1_000_000 + number}.00"
    listing = admin.post("/api/v1/listings/", {"title": f"Saved {number}", "price": price}).expect(201).json()["id"]
    path = f"/api/v1/listings/{listing}/images/"
    admin.post(path, files=[("images", f"{number}.jpg", picture)]).expect(201)
    start = time.perf_counter()
    seen: dict[int, float] = {}
    query = f"/api/v1/listings/{anchor}/similar/?min_price={price}&max_price={price}"
    pollers = [threading.Thread(target=_poll_server, args=(port, query, admin.token, listing, seen)) for port in ports]
    for poller in pollers:
        poller.start()
    for poller in pollers:
        poller.join()
    return max(seen.values()) - start if len(seen) == len(ports) else None


def _poll_server(port: int, query: str, token: str | None, listing: int, seen: dict[int, float]) -> None:
    """Ask one server until it shows the listing, and note under its port when it did."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    deadline = time.perf_counter() + LOST_SECONDS
    while time.perf_counter() < deadline:
        asked = time.perf_counter()
        connection.request("GET", query, headers={"Authorization": f"Token {token}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 200 and any(result["listing"]["id"] == listing for result in json.loads(body)["results"]):
            seen[port] = time.perf_counter()
            break
        time.sleep(max(0.0, POLL_SECONDS - (time.perf_counter() - asked)))
    connection.close()
