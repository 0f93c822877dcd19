"""The figures of health for Prometheus: what the database and this process's index say now, read at each scrape.

Nothing is kept between scrapes and nothing registers itself at import. Each web process has its own view of the index;
a scrape shows the one that happened to answer, and names it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.core import CollectorRegistry, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from recommender.embedding.worker_health import count_workers

from .disks import Disk, list_disks
from .health import index_health, index_lag, is_database_usable, may_see_details
from .health_details import heartbeat_ages, is_broker_reachable, load_live_models, queue_counts, upload_lag

REFUSAL = (
    "Metrics are for staff with view_heartbeat, for whoever asks at HEALTH_BIND, or a monitor with the header "
    "X-Health-Token.\n"
)


@require_safe
@never_cache
def report_metrics(request: HttpRequest) -> HttpResponse:
    database = is_database_usable()
    if not may_see_details(request, database=database):
        return HttpResponse(REFUSAL, status=403, content_type="text/plain; charset=utf-8")
    registry = CollectorRegistry()
    registry.register(Figures(database=database))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class Figures(Collector):
    """The figures of one scrape. While the database does not answer, those that come from it are left out."""

    def __init__(self, *, database: bool) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "marketplace_process",
            "The web process that answered; figures of the index are as it sees it.",
            {"pid": str(os.getpid())},
        )
        yield make_gauge("broker_up", "Whether the broker answers.", is_broker_reachable())
        yield from disk_metrics(list_disks())
        # Looking at the index may refresh it first, which fails while the database does not answer.
        with suppress(Error):
            yield from index_metrics(index_health())
        # Read before the gauge `database_up` is given, because this reading may find that the database has just gone.
        stored = self._collect_database_metrics()
        yield make_gauge("database_up", "Whether the database answers.", self._database)
        yield from stored

    def _collect_database_metrics(self) -> list[Metric]:
        if not self._database:
            return []
        try:
            return [*lag_metrics(index_lag()), *queue_and_worker_metrics()]
        except Error:
            connection.close()
            self._database = False
            return []


def disk_metrics(disks: list[Disk]) -> Iterator[Metric]:
    for name, text, field in (
        ("disk_bytes", "Size of the disk on which a root lies.", "bytes"),
        ("disk_free_bytes", "What is free of it for this user.", "free_bytes"),
        ("disk_free_inodes", "How many more files it takes.", "free_inodes"),
    ):
        values = {root: float(getattr(disk, field)) for disk in disks if not disk.error for root in disk.roots}
        yield make_labelled_gauge(name, text, "root", values)


def index_metrics(index: dict[str, Any]) -> Iterator[Metric]:
    yield make_gauge("index_usable", "Whether the index can be searched.", index["usable"])
    yield make_gauge("index_rows", "Photos that are searched.", index["rows"])
    yield make_gauge("index_delta_rows", "Photos of listings changed since the snapshot.", index["delta_rows"])
    yield make_gauge("index_segments", "Segments of the snapshot.", index["segments"])
    yield make_gauge("index_behind", "Changes that the last refresh left for later.", index["behind"])
    yield make_gauge("index_refresh_age_seconds", "Since the last look at the change feed.", index.get("refreshed_s"))
    yield make_gauge("index_recall_target", "INDEX_RECALL_TARGET.", settings.INDEX_RECALL_TARGET)
    recall = index["recall"]
    for name, field, text in (
        ("index_recall_mean", "mean", "Share of the exact answer that sampled live searches gave."),
        ("index_recall_worst", "worst", "The smallest such share of one search."),
        ("index_recall_judged", "judged", "Sampled searches behind these figures."),
        ("index_recall_age_seconds", "last_s", "Since the last search was judged."),
    ):
        yield make_labelled_gauge(name, text, "queries", {kind: figures[field] for kind, figures in recall.items()})


def lag_metrics(lag: dict[str, Any]) -> Iterator[Metric]:
    yield make_gauge("index_snapshot_age_seconds", "Since the served snapshot was written.", lag["snapshot_age_s"])
    yield make_gauge("index_position_lag", "Changes in the feed that the index has not seen.", lag["position_lag"])


def queue_and_worker_metrics() -> Iterator[Metric]:
    now, queue = timezone.now(), queue_counts()
    bound = f"counted up to {queue['counted_up_to']}"
    yield make_labelled_gauge(
        "queue_pending", f"Photos that wait to be embedded, {bound} a lane.", "lane", queue["pending"]
    )
    yield make_gauge("queue_leased", f"Photos that a worker holds, {bound}.", queue["leased"])
    yield make_gauge("queue_failed", f"Photos that failed and are tried again later, {bound}.", queue["failed"])
    lag = upload_lag([model.pk for model in load_live_models()], now)
    yield make_gauge("upload_lag_seconds", "How long the oldest uploaded photo has waited.", lag)
    workers = count_workers(now)
    yield make_labelled_gauge("workers", "Processes that were heard of in the last minute.", "kind", workers)
    ages = heartbeat_ages(now)
    yield make_labelled_gauge("heartbeat_age_seconds", "Since any worker of the kind was heard of.", "kind", ages)


def make_gauge(name: str, text: str, value: float | None) -> Metric:
    """A metric with one value, or with none where there is no value."""
    return GaugeMetricFamily(f"marketplace_{name}", text, value)


def make_labelled_gauge(name: str, text: str, label: str, values: Mapping[str, float | None]) -> Metric:
    """A metric with a value for each value of a label, where it has one."""
    family = GaugeMetricFamily(f"marketplace_{name}", text, labels=[label])
    for key, value in values.items():
        if value is not None:
            family.add_metric([key], value)
    return family
