"""Health's own door: an address for monitors alone, answered by threads that no visitor can hold.

Who reaches it sees the details, so it is bound to where only the people who run the site are. It asks neither which
host was meant nor whether TLS was spoken.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from django.core import signals
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse

from marketplace.observing.health import DOOR, report_liveness, report_readiness
from marketplace.observing.metrics import report_metrics

logger = logging.getLogger(__name__)

VIEWS: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/health/live": report_liveness,
    "/health/ready": report_readiness,
    "/metrics": report_metrics,
}
NOTHING = f"Here are {', '.join(VIEWS)}.\n"
THREADS = 4
# Readiness and metrics ask the database, the broker and disks, each of which may hang: one thread is kept for the
# question whether the process lives.
asking = threading.BoundedSemaphore(THREADS - 1)
BUSY = "All that is asked here waits for something that does not answer: the database, the broker or a disk.\n"


def answer_monitors(environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    """A WSGI application."""
    # The two signals keep, check and close this thread's connection to the database, as around any request.
    signals.request_started.send(sender=answer_monitors, environ=environ)
    response = find_answer(WSGIRequest({**environ, DOOR: True}))
    start_response(f"{response.status_code} {response.reason_phrase}", [*response.items()])
    response.close()
    return [response.content]


def find_answer(request: HttpRequest) -> HttpResponse:
    view = VIEWS.get(request.path)
    try:
        if view is None:
            return HttpResponse(NOTHING, status=404, content_type="text/plain")
        return view(request) if view is report_liveness else ask_if_free(view, request)
    except Exception:
        logger.exception("health could not answer %s", request.path)
        return HttpResponse("See the log.\n", status=500, content_type="text/plain")


def ask_if_free(view: Callable[[HttpRequest], HttpResponse], request: HttpRequest) -> HttpResponse:
    if not asking.acquire(blocking=False):
        return HttpResponse(BUSY, status=503, content_type="text/plain")
    try:
        return view(request)
    finally:
        asking.release()
