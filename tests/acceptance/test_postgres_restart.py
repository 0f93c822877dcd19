"""A site on PostgreSQL whose database server is stopped and comes back (hazard: refresh in the wrong place)."""

from __future__ import annotations

import time

from tests.acceptance.catalogue import UNTHROTTLED, draw
from tests.servers.stack import Stack
from tests.servers.visitor import Visitor


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
    postgres_server.halt()
    stack.wait_for(lambda: admin.get("/health/ready").status == 503, "health says the database is away")
    assert admin.get(f"/api/v1/listings/{first}/").status == 503
    assert admin.get("/health/live").status == 200
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


def wait_until_embedded(stack: Stack, admin: Visitor, listing: int) -> None:
    stack.wait_for(lambda: admin.get(f"/api/v1/listings/{listing}/similar/").status == 200, f"{listing} is embedded")


def publish(admin: Visitor, picture: bytes) -> int:
    listing = admin.post("/api/v1/listings/", {"title": "A thing", "price": "5"}).expect(201).json()["id"]
    admin.post(f"/api/v1/listings/{listing}/images/", files=[("images", "a.jpg", picture)]).expect(201)
    return listing
