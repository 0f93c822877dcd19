"""Every setting, read from the environment. A value that makes no sense stops the start with one sentence."""

import logging
from datetime import timedelta
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from marketplace.observing import logs
from marketplace.paths import private_broker_url

from .accounts import *  # noqa: F403 - its settings are settings of the site
from .environment import (
    derive_cache_url,
    derive_celery_url,
    env,
    parse_database_url,
    read_boolean,
    read_choice,
    read_fraction,
    read_integer,
    read_number,
    read_positive_number,
)
from .https import *  # noqa: F403 - its settings are settings of the site

BASE_DIR = Path(__file__).resolve().parents[2]

VAR_DIR = Path(env.str("VAR_DIR", "") or BASE_DIR / "var").absolute()


def _read_secret_key() -> str:
    """From SECRET_KEY, else from the file `make run` generates."""
    if key := env.str("SECRET_KEY", ""):
        return key
    try:
        return (VAR_DIR / "secret-key").read_text().strip()
    except FileNotFoundError as exc:
        raise ImproperlyConfigured(
            f"Set SECRET_KEY, or run `make run` once: it generates {VAR_DIR / 'secret-key'}."
        ) from exc


SECRET_KEY = _read_secret_key()
DEBUG = read_boolean("DEBUG")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    # Before Django's own, because Django takes the first template of a name, and these replace some of the admin's.
    "marketplace",
    "listings",
    "recommender",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    # Before staticfiles, whose `runserver` would serve static files in another way.
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "django_filters",
    "django_structlog",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    # First, so that every answer carries the id: files, refusals and errors as well.
    "marketplace.middleware.answer_with_request_id",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "marketplace.middleware.CompressText",
    # Before the middleware that may refuse a request, so that refusals are logged, and say who may keep them.
    "django_structlog.middlewares.RequestMiddleware",
    "marketplace.middleware.add_content_security_policy",
    "marketplace.middleware.keep_personal_answers_private",
    "marketplace.middleware.refuse_unreadable_body",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "marketplace.middleware.AddMissingSlash",
    "marketplace.middleware.RefuseUnknownNames",
    "django.middleware.csrf.CsrfViewMiddleware",
    # After the check against forgery, because it reads a form as well.
    "marketplace.middleware.RefuseMadeUpIds",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "marketplace.middleware.AnswerOutages",
    # Last, because it only answers for a log-in form whose try was not looked at.
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "marketplace.urls"
WSGI_APPLICATION = "marketplace.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Without an address the database is SQLite, so that a first start needs no server. `manage.py prepare_database` turns
# its write-ahead log on.
DATABASE_URL = env.str("DATABASE_URL", "")
if DATABASE_URL:
    DATABASES = {"default": parse_database_url(DATABASE_URL)}
    if DATABASES["default"]["ENGINE"].endswith("postgresql"):
        # Without these limits (s, ms) a request would wait for minutes for a database whose host is gone.
        limits = {"connect_timeout": 3, "tcp_user_timeout": 5000}
        DATABASES["default"]["OPTIONS"] = limits | DATABASES["default"].get("OPTIONS", {})
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "db.sqlite3")}}
# A connection that is kept breaks when the database restarts, so it is checked before the next request uses it.
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE takes the write lock when a transaction begins: writers queue for it there, where a reader that turned
    # writer would fail half-way.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA synchronous=NORMAL;",
    }

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# By default the socket of the private broker that `make run` starts, so that management commands find it too.
REDIS_URL = env.str("REDIS_URL", "") or private_broker_url(VAR_DIR)
# Saving a photo sends a message over the broker: a broker that does not answer may hold the save up for about this
# many seconds.
REDIS_TIMEOUT = read_positive_number("REDIS_TIMEOUT", 0.3)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.str("CACHE_URL", "") or derive_cache_url(REDIS_URL),
        "OPTIONS": {"socket_connect_timeout": REDIS_TIMEOUT, "socket_timeout": REDIS_TIMEOUT},
    }
}

# The queue of work is the Embedding table. A message only wakes a worker up, so a broker that loses it loses no work.
CELERY_BROKER_URL = derive_celery_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
# A task whose worker dies is delivered again. That does no harm, because a task looks in the database for what is
# still to be done.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 900,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "workers.embedding.*": {"queue": "embedding"},
    "workers.indexing.*": {"queue": "indexing"},
}
# A message expires when the next one is due, so that a worker that was away need not run once for each it missed.
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "workers.maintenance.sweep", "schedule": timedelta(seconds=5), "options": {"expires": 5}},
    "compact": {"task": "workers.indexing.compact", "schedule": timedelta(seconds=15), "options": {"expires": 15}},
    "collect": {"task": "workers.maintenance.collect", "schedule": timedelta(hours=1), "options": {"expires": 3600}},
}

MARKETPLACE_NAME = env.str("MARKETPLACE_NAME", "Marketplace")
MARKETPLACE_CURRENCY = env.str("MARKETPLACE_CURRENCY", "GBP")

# Only derivatives, which have no EXIF. Nothing but this site may serve them: it knows which listings are not public.
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", str(VAR_DIR / "media")))
MEDIA_URL = "/media/"
ORIGINALS_ROOT = Path(env.str("ORIGINALS_ROOT", str(VAR_DIR / "originals")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # An original may tell where it was taken: its storage gives out no address, and no other account of the host may
    # read it.
    "originals": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": ORIGINALS_ROOT, "base_url": None, "file_permissions_mode": 0o600},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
PHOTO_MAX_BYTES = 40 * 1024 * 1024  # a JPEG of 108 million pixels, as phones take it; `ml.images.MAX_BYTES` is the same
PHOTOS_PER_LISTING = 10
REJECTED_PHOTO_DAYS = 30
# One megabyte more than all photos of a listing, because a request also holds boundaries and part headers.
BODY_MAX_BYTES = PHOTO_MAX_BYTES * PHOTOS_PER_LISTING + 1024 * 1024
FILE_UPLOAD_PERMISSIONS = 0o644
# Also for the admin, whose views set no handlers of their own.
FILE_UPLOAD_HANDLERS = ["listings.photos.uploads.PhotoUploadHandler"]

# Health warns where less is free on a disk, if that is also less than a twentieth of it; 0: only where it is full.
LOW_DISK_MB = read_integer("LOW_DISK_MB", 1024, least=0)

# The weights that a new site begins with: once a trained model answers, only `manage.py models` replaces it.
EMBEDDER_WEIGHTS = read_choice("EMBEDDER_WEIGHTS", "starter", "imagenet", "untrained") or "starter"
MODELS_ROOT = Path(env.str("MODELS_ROOT", str(VAR_DIR / "models")))
EMBEDDER_CACHE = Path(env.str("EMBEDDER_CACHE", str(VAR_DIR / "cache" / "openvino")))
# Left empty, because hosts differ: a worker then takes torch where that can use a GPU, and OpenVINO elsewhere.
EMBED_RUNTIME = read_choice("EMBED_RUNTIME", "openvino", "torch")
# At most 1000, because one SQL statement writes the results of a batch, and databases limit the values of a statement.
EMBED_BATCH = read_integer("EMBED_BATCH", 64, most=1000)
# An embedding task ends after so many seconds and asks for another one, so that other tasks of its queue have a turn.
EMBED_SLICE_SECONDS = read_positive_number("EMBED_SLICE_SECONDS", 20)
EMBED_LEASE_SECONDS = read_positive_number("EMBED_LEASE_SECONDS", 60)
EMBED_THREADS = read_integer("EMBED_THREADS", 2)
WORKER_STOP_GRACE_SECONDS = read_positive_number("WORKER_STOP_GRACE_SECONDS", 30)

INDEX_ROOT = Path(env.str("INDEX_ROOT", str(VAR_DIR / "index")))
INDEX_REFRESH_MS = read_positive_number("INDEX_REFRESH_MS", 100)
# Each web process keeps at most this many changed rows of the index in memory, or a large import would fill it.
INDEX_DELTA_ROWS = read_integer("INDEX_DELTA_ROWS", 20_000)
# From this many changed rows on the compactor writes them to files: far fewer than INDEX_DELTA_ROWS, the most that a
# web process keeps in memory, which it should never reach.
INDEX_FLUSH_ROWS = read_integer("INDEX_FLUSH_ROWS", 2_000)
# A part of the index with fewer rows is searched by comparing every vector, which is exact, needs no training and is
# fast enough.
INDEX_EXACT_ROWS = read_integer("INDEX_EXACT_ROWS", 10_000, least=1_000)
MIN_PROBABILITY = read_fraction("MIN_PROBABILITY", 0.5)  # results that are less likely alike are left out
# Megabytes that building a part of the index may take for vectors, and that are read ahead when one is opened.
INDEX_MEMORY_MB = read_integer("INDEX_MEMORY_MB", 2048)
# The share of the exact answer that a search should find; a part of the index that misses it when it is built is
# searched exactly instead.
INDEX_RECALL_TARGET = read_fraction("INDEX_RECALL_TARGET", 0.98)
# At most this share of live searches is repeated exactly, because only these show the recall that people really get.
INDEX_MONITOR_SHARE = read_fraction("INDEX_MONITOR_SHARE", 0.01)
# After this many days the vector of a deleted photo should have left every index file; else health reports a problem.
PURGE_DAYS = read_number("PURGE_DAYS", 7)

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", str(VAR_DIR / "static")))
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "listings.permissions.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["listings.api.parsers.BoundedJSONParser", "rest_framework.parsers.MultiPartParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["listings.limits.rates.CallerThrottle", "listings.limits.rates.ScopedThrottle"],
    "DEFAULT_THROTTLE_RATES": THROTTLE_RATES,  # noqa: F405 - of accounts
    "EXCEPTION_HANDLER": "marketplace.errors.handle_api_exception",
    # Each trusted proxy adds an address to X-Forwarded-For; with a number too high callers could choose their address.
    "NUM_PROXIES": read_integer("NUM_PROXIES", 0, least=0),
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Marketplace API",
    "DESCRIPTION": "Publish listings with photos, and find what looks like them. Get a token from `token/`, then send "
    '`Authorization: Token …`. Errors are `{"detail": sentence, "code": word}`, with `fields` where some are wrong.',
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "DEFAULT_GENERATOR_CLASS": "marketplace.description.DescriptionGenerator",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# For monitors at the public address: whoever asks at HEALTH_BIND, and staff with view_heartbeat, need no token.
HEALTH_TOKEN = env.str("HEALTH_TOKEN", "")

# JSON, because programs read the log of a site; LOG_FORMAT=console is for people.
LOGGING = logs.configure_logging(env.str("LOG_FORMAT", "json"), env.str("LOG_LEVEL", "INFO"))
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
# Of an outage the log has one line that says so; the line of each request that it refused is one like all others.
DJANGO_STRUCTLOG_STATUS_5XX_LOG_LEVEL = logging.INFO
# `answer_with_request_id` lets through only ids that are fit for the log.
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True
# Empty, because django-structlog would read the session of every request to find the user; `bind_user_id` adds the id
# where it is known.
DJANGO_STRUCTLOG_USER_ID_FIELD = ""
