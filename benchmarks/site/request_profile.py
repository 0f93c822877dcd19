"""Where the time of `similar` goes, in one process without a server: `python -m benchmarks.site.request_profile N`.

N is how many listings the catalogue has. The requests are made as they are, some again with their queries noted, and
all again under a profiler. That slows Python more than what it calls, so take its shares, not its seconds.
"""

from __future__ import annotations

import cProfile
import gc
import io
import os
import pstats
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django

from .clients import find_percentile

if TYPE_CHECKING:
    from recommender.index import Index

REQUESTS = 200
COUNTED = 50  # of them, whose queries are noted
WARM_UP = 20
HEAVIEST = 25  # functions that are printed
ROOT = Path(__file__).resolve().parents[2]
SQL = re.compile(r"sqlite3\.Cursor|SQLiteCursorWrapper|psycopg/cursor\.py execute$")
PARTS = {  # for each part the function that does all of it: the end of its file's path, and its name
    "the view": ("recommender/api/views.py", "get"),
    "  index search": ("index/view/search.py", "find_nearest_listings"),
    "  stored vectors of the listing": ("index/view/state.py", "read_vectors"),
    "  hydrate: listings, sellers, categories, photos": ("recommender/search/retrieval.py", "read_showable_listings"),
    "  features": ("ranking/features.py", "compute_features"),
    "  rank": ("ranking/ranker.py", "compute_ranking"),
    "  explain": ("ranking/ranker.py", "explain_score"),
    "  answer as data": ("recommender/api/views.py", "answer_json"),
    "    photos of a listing as data": ("api/serializers.py", "get_images"),
    "rendering": ("rest_framework/renderers.py", "render"),
}


def main(rows: int) -> None:
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from recommender import index

    from .api import Questions

    index.start_index_threads()
    _wait_for_index(index.get_index())
    client, questions = Client(headers={"host": "127.0.0.1"}), Questions(rows)

    def time_request(path: str) -> float:
        """Make one request; returns its milliseconds."""
        start = time.perf_counter()
        response = client.get(path)
        if response.status_code != 200:
            raise SystemExit(f"{path} answered {response.status_code}: {response.content[:500]!r}")
        return (time.perf_counter() - start) * 1000

    for path in questions.make_paths(WARM_UP, questions.plain_query):
        time_request(path)
    paths = questions.make_paths(REQUESTS, questions.plain_query)
    with _time_collections() as collections:
        times = [time_request(path) for path in paths]
    with CaptureQueriesContext(connection) as context:
        for path in paths[:COUNTED]:
            time_request(path)
        queries = context.captured_queries  # taken now, because the next request would forget them
    profile = cProfile.Profile()
    profiled = profile.runcall(lambda: [time_request(path) for path in paths])
    _print_times(times, profiled, collections)
    _print_queries(queries)
    _print_parts(profile, scale=sum(times) / sum(profiled))
    _print_heaviest(profile)


def _wait_for_index(index: Index) -> None:
    from recommender.index import IndexNotReady

    while True:
        try:
            index.get_state()
        except IndexNotReady:
            time.sleep(0.5)
        else:
            return


@contextmanager
def _time_collections() -> Iterator[list[float]]:
    """Note how many milliseconds each of Python's garbage collections takes, because they stop every thread."""
    took: list[float] = []
    began = 0.0

    def note_collection(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        else:
            took.append((time.perf_counter() - began) * 1000)

    gc.callbacks.append(note_collection)
    try:
        yield took
    finally:
        gc.callbacks.remove(note_collection)


def _print_times(times: list[float], profiled: list[float], collections: list[float]) -> None:
    ordered = sorted(times)
    print(
        f"in process: p50 {find_percentile(ordered, 50)} ms, p99 {find_percentile(ordered, 99)} ms, "
        f"mean {sum(times) / len(times):.1f} ms, profiled {sum(profiled) / len(profiled):.1f} ms"
    )
    print(
        f"garbage collection: {sum(collections) / len(times):.2f} ms a request, "
        f"the longest {max(collections, default=0):.0f} ms"
    )


def _print_queries(queries: list[dict[str, Any]]) -> None:
    """Print the queries that take longest first. Values are left out, so that queries of one shape count together."""
    count: Counter[str] = Counter()
    took: Counter[str] = Counter()
    for query in queries:
        sql = re.sub(r"\b\d+\b(, \b\d+\b)*", "…", query["sql"])
        sql = re.sub(r"SELECT .*? FROM", "SELECT … FROM", sql, count=1)
        count[sql] += 1
        took[sql] += round(float(query["time"]) * 1000)
    print(f"{len(queries) / COUNTED:.1f} queries a request; milliseconds without fetching:")
    for sql, milliseconds in took.most_common():
        print(f"  {count[sql] / COUNTED:4.1f} times, {milliseconds / COUNTED:6.2f} ms: {sql[:200]}")


def _print_parts(profile: cProfile.Profile, scale: float) -> None:
    """Print the milliseconds a request that each part takes with all it calls, scaled to a run without the profiler."""
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]

    def print_part(part: str, is_of_part: Callable[[str, str], bool]) -> None:
        seconds = sum(values[3] for (path, _, name), values in stats.items() if is_of_part(path, name))
        print(f"  {seconds * 1000 / REQUESTS * scale:6.2f} ms  {part}")

    print("parts, scaled to the time without the profiler:")
    for part, (file, function) in PARTS.items():
        print_part(part, partial(_is_function, file, function))
    print_part("SQL, executing and fetching, within the others", lambda path, name: bool(SQL.search(f"{path} {name}")))


def _is_function(file: str, function: str, path: str, name: str) -> bool:
    return path.endswith(file) and name == function


def _print_heaviest(profile: cProfile.Profile) -> None:
    for order in ("tottime", "cumtime"):
        text = io.StringIO()
        pstats.Stats(profile, stream=text).sort_stats(order).print_stats(HEAVIEST)
        print(re.sub(r"\S*/(site-packages|lib/python[0-9.]+)/", "", text.getvalue().replace(f"{ROOT}/", "")))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
    django.setup()
    main(int(sys.argv[1]))
