"""A site on PostgreSQL whose database server is stopped and comes back (hazard: refresh in the wrong place)."""

from __future__ import annotations

import time

from tests.acceptance.catalogue import UNTHROTTLED, draw
from tests.servers.stack import Stack
from tests.servers.visitor import Visitor

# Enough for everything that runs by schedule to meet the outage.
TWO_SWEEPS = 6
# Two of the web, those of the three kinds of workers, and the child that runs the tasks of one of them.
PROCESSES = 6


def test_the_index_is_fresh_within_five_seconds_of_the_servers_return(new_stack, postgres_server, short_tmp):
    postgres_server.create("restarted")
    stack: Stack = new_stack(database_url=postgres_server.database_url("restarted"), environ=UNTHROTTLED)
    stack.start()
    admin = stack.admin()
    draw(short_tmp / "restart", listings=3)
    pictures = sorted((short_tmp / "restart" / "images").glob("*.jpg"))
    first, second = (publish(admin, path.read_bytes()) for path in pictures[:2])
    similar = f"/api/v1/listings/{first}/similar/?min_price=77&max_price=77"
    for listing in (first, second):
        wait_until_embedded(stack, admin, listing)
    said_before = len(stack.log())
    postgres_server.halt()
    stack.wait_for(lambda: admin.get("/health/ready").status == 503, "health says the database is away")
    for path in (f"/api/v1/listings/{first}/", "/", "/admin/", f"/listings/{first}/"):
        assert {admin.get(path).status for _ in range(3)} == {503}, path
    assert admin.get("/health/live").status == 200
    time.sleep(TWO_SWEEPS)
    postgres_server.restart()
    admin.patch(f"/api/v1/listings/{second}/", {"price": "77"}).expect(200)
    returned = time.monotonic()

    def found() -> bool:
        answer = admin.get(similar)
        return answer.status == 200 and [one["listing"]["id"] for one in answer.json()["results"]] == [second]

    stack.wait_for(found, "both web processes answer with the new price", timeout=15, every=0.05)
    assert time.monotonic() - returned < 5
    third = publish(admin, pictures[2].read_bytes())
    wait_until_embedded(stack, admin, third)
    assert stack.manage("index", "verify").strip().endswith("0 differences")
    each_process_says_once_that_the_database_is_away_and_that_it_is_back(stack.log()[said_before:])


def each_process_says_once_that_the_database_is_away_and_that_it_is_back(said: str) -> None:
    # What visitors were answered before the third photo was embedded is no part of the outage.
    lines = [line for line in said.splitlines() if "code=409" not in line]
    away = [line for line in lines if "The database does not answer, since" in line]
    back = [line for line in lines if "The database is back after" in line]
    assert "Traceback" not in said
    assert " 500" not in said
    assert 0 < len(away) <= PROCESSES, said
    assert len(back) == len(away), said
    assert len(lines) == len(away) + len(back), said


def wait_until_embedded(stack: Stack, admin: Visitor, listing: int) -> None:
    stack.wait_for(lambda: admin.get(f"/api/v1/listings/{listing}/similar/").status == 200, f"{listing} is embedded")


def publish(admin: Visitor, picture: bytes) -> int:
    listing = admin.post("/api/v1/listings/", {"title": "A thing", "price": "5"}).expect(201).json()["id"]
    admin.post(f"/api/v1/listings/{listing}/images/", files=[("images", "a.jpg", picture)]).expect(201)
    return listing
