"""Log lines with request and task ids, on stderr. Standard and structlog loggers come out alike."""

from __future__ import annotations

import logging

import structlog
from django.core.exceptions import ImproperlyConfigured
from structlog.typing import Processor

FORMATS = ("json", "console")


def configure_logging(log_format: str, level: str) -> dict[str, object]:
    """The LOGGING setting; configures structlog on the way."""
    if log_format not in FORMATS:
        raise ImproperlyConfigured(f"LOG_FORMAT is '{log_format}'; use one of {', '.join(FORMATS)}.")
    if level.upper() not in logging.getLevelNamesMapping():
        raise ImproperlyConfigured(f"LOG_LEVEL is '{level}'; use DEBUG, INFO, WARNING or ERROR.")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderers = _choose_renderers(log_format)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
                "foreign_pre_chain": shared,
            }
        },
        "filters": {
            "outages": {
                "()": "django.utils.log.CallbackFilter",
                # Nobody tells of an outage below a warning, and lines of requests are many.
                "callback": lambda record: record.levelno < logging.WARNING or _tell_outage_once(record),
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["outages"]}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            # Django's own handler is taken away, or with DEBUG each line would be written twice.
            "django": {"handlers": [], "propagate": True},
            # django-structlog writes a line for each refused or failed request, so Django's would be a second one.
            "django.request": {"level": "CRITICAL"},
            # django-structlog writes a line for each request, so runserver's own would be a second one.
            "django.server": {"handlers": [], "propagate": True, "level": "WARNING"},
            # It would warn of each request that waits for a thread.
            "waitress": {"level": "ERROR"},
            "celery.redirected": {"level": "WARNING"},
            # FAISS tries one library after another until one suits the processor, and each try would be a line.
            "faiss.loader": {"level": "WARNING"},
        },
    }


def _choose_renderers(log_format: str) -> list[Processor]:
    if log_format == "console":
        return [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _tell_outage_once(record: logging.LogRecord) -> bool:
    # Not at the top, because this module is read while the settings are, before there is a database.
    from .outage_log import tell_once

    return tell_once(record)
