"""What `similar` takes over HTTP with N listings: from the request's first byte to the answer's last.

`--rows` listings with photos and vectors are stored, the index is built from rows, and gunicorn serves it as `make run`
starts it. Closed-loop clients ask about listings drawn at random: one client, then four, with one web process and with
four. The clients compute on the same cores.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from marketplace.supervisor.site import ONE_THREAD

from .catalogue import BRANCHES, is_asked_about, make_category_path
from .clients import drive_clients
from .filled import Site, open_filled_site

LIMIT = 20
WARM_UP = 500  # requests, after which the pages of tables and vectors that are asked for are in memory
PRICES = ((5, 40), (20, 80), (50, 500))  # the lowest and the highest of a filter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=20_000, help="listings (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=500, help="of each kind (default: %(default)s)")
    parser.add_argument("--profile", action="store_true", help="print where the server's time goes, too")
    parser.add_argument("--database-url", default="", help="an empty PostgreSQL to use instead of SQLite")
    parser.add_argument("--folder", type=Path, help="keep the site here, and measure the one that is here already")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    with open_filled_site(arguments.rows, arguments.database_url, kept=arguments.folder) as site:
        site.start_serving(web=1)
        figures = _measure_site(site, arguments.requests)
        if arguments.profile:
            site.stack.spawn("-m", "benchmarks.site.request_profile", str(arguments.rows), **ONE_THREAD).wait()
        return {**figures, **site.figures}


def _measure_site(site: Site, requests: int) -> dict[str, Any]:
    questions = Questions(site.rows)
    port = site.stack.port

    def ask_alone(query: Callable[[], str]) -> dict[str, Any]:
        return drive_clients(port, [questions.make_paths(requests, query)]).summarise_answers()

    def ask_by_four(*, keep: bool) -> dict[str, Any]:
        return drive_clients(
            port, [questions.make_paths(requests // 2, questions.plain_query) for _ in range(4)], keep=keep
        ).summarise_answers()

    drive_clients(port, [questions.make_paths(WARM_UP, questions.plain_query)])
    plain = ask_alone(questions.plain_query)
    figures = {
        **plain,
        "filtered": ask_alone(questions.filtered_query),
        "explained": ask_alone(questions.explained_query),
        "clients_4": ask_by_four(keep=True),
    }
    memory = {"1": site.read_web_memory_mb()}
    site.start_serving(web=4)
    # Over new connections, because four that are kept may all have been accepted by one process.
    drive_clients(port, [questions.make_paths(WARM_UP // 4, questions.plain_query) for _ in range(4)], keep=False)
    return {
        **figures,
        "clients_4_processes_4": ask_by_four(keep=False),
        "web_memory_mb": {**memory, "4": site.read_web_memory_mb()},
    }


class Questions:
    """Makes paths that ask about listings drawn at random; none is drawn again before all have been."""

    def __init__(self, rows: int) -> None:
        self._random = random.Random(3)
        self._listings = [listing for listing in range(1, rows + 1) if is_asked_about(listing)]
        self._left: list[int] = []

    def make_paths(self, count: int, query: Callable[[], str]) -> list[str]:
        return [f"/api/v1/listings/{self._draw_listing()}/similar/?{query()}" for _ in range(count)]

    def plain_query(self) -> str:
        return f"limit={LIMIT}"

    def explained_query(self) -> str:
        return f"limit={LIMIT}&explain=1"

    def filtered_query(self) -> str:
        """A query that narrows by a category with six below it, and by a price range."""
        place = [self._random.randrange(width) for width in BRANCHES[:2]]
        low, high = self._random.choice(PRICES)
        return urlencode({"limit": LIMIT, "category": make_category_path(place), "min_price": low, "max_price": high})

    def _draw_listing(self) -> int:
        if not self._left:
            self._left = self._random.sample(self._listings, len(self._listings))
        return self._left.pop()
