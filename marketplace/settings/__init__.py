"""Every setting, read from the environment. A value that makes no sense stops the start with one sentence."""

import logging
from datetime import timedelta
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from marketplace.observing import logs
from marketplace.paths import broker_socket

from .environment import cache_beside, choice, database, env, flag, fraction, number, positive, rate, whole

BASE_DIR = Path(__file__).resolve().parents[2]

VAR_DIR = Path(env.str("VAR_DIR", str(BASE_DIR / "var")))


def _secret_key() -> str:
    """From SECRET_KEY, else from the file `make run` generates."""
    if key := env.str("SECRET_KEY", ""):
        return key
    try:
        return (VAR_DIR / "secret-key").read_text().strip()
    except FileNotFoundError as exc:
        raise ImproperlyConfigured(
            f"Set SECRET_KEY, or run `make run` once: it generates {VAR_DIR / 'secret-key'}."
        ) from exc


SECRET_KEY = _secret_key()
DEBUG = flag("DEBUG")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    # Before Django's own: our templates come first, the admin's among them.
    "marketplace",
    "listings",
    "recommender",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_filters",
    "django_structlog",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "marketplace.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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

# Database: PostgreSQL in production; without DATABASE_URL it is SQLite, its WAL set by `manage.py prepare_database`.
DATABASE_URL = env.str("DATABASE_URL", "")
if DATABASE_URL:
    DATABASES = {"default": database(DATABASE_URL)}
    if DATABASES["default"]["ENGINE"].endswith("postgresql"):
        DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 3)
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "db.sqlite3")}}
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Writers queue for the lock instead of failing half-way through a transaction that began as a reader.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA synchronous=NORMAL;",
    }

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Broker and cache: `make run` starts a private server and passes its socket as REDIS_URL.
REDIS_URL = env.str("REDIS_URL", f"unix://{broker_socket(VAR_DIR)}")
REDIS_TIMEOUT = positive("REDIS_TIMEOUT", 0.3)  # seconds a save may spend on a broker that does not answer
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.str("CACHE_URL", "") or cache_beside(REDIS_URL),
        "OPTIONS": {"socket_connect_timeout": REDIS_TIMEOUT, "socket_timeout": REDIS_TIMEOUT},
    }
}

# Celery. The queue of work is the Embedding table; a message only wakes a worker up.
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
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
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "workers.maintenance.sweep", "schedule": timedelta(seconds=5), "options": {"expires": 5}},
    "compact": {"task": "workers.indexing.compact", "schedule": timedelta(seconds=15), "options": {"expires": 15}},
    "collect": {"task": "workers.maintenance.collect", "schedule": timedelta(hours=1), "options": {"expires": 3600}},
}

# Marketplace
MARKETPLACE_NAME = env.str("MARKETPLACE_NAME", "Marketplace")
MARKETPLACE_CURRENCY = env.str("MARKETPLACE_CURRENCY", "GBP")

# Photos
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", str(VAR_DIR / "media")))  # EXIF-free derivatives: the only public files
MEDIA_URL = "/media/"
ORIGINALS_ROOT = Path(env.str("ORIGINALS_ROOT", str(VAR_DIR / "originals")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "originals": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": ORIGINALS_ROOT, "base_url": None, "file_permissions_mode": 0o600},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
PHOTO_MAX_BYTES = 20 * 1024 * 1024
PHOTOS_PER_LISTING = 10
REJECTED_PHOTO_DAYS = 30
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
FILE_UPLOAD_PERMISSIONS = 0o644

# Embedding
EMBEDDER_WEIGHTS = choice("EMBEDDER_WEIGHTS", "starter", "imagenet", "untrained") or "starter"  # the first model's
MODELS_ROOT = Path(env.str("MODELS_ROOT", str(VAR_DIR / "models")))
EMBEDDER_CACHE = Path(env.str("EMBEDDER_CACHE", str(VAR_DIR / "cache" / "openvino")))
EMBED_RUNTIME = choice("EMBED_RUNTIME", "openvino", "torch")  # a worker's; unset: torch where there is a GPU
EMBED_BATCH = whole("EMBED_BATCH", 64, most=1000)  # photos per micro-batch, bounded by what one statement holds
EMBED_SLICE_SECONDS = positive("EMBED_SLICE_SECONDS", 20)  # one task's work before it rings again
EMBED_LEASE_SECONDS = positive("EMBED_LEASE_SECONDS", 60)
EMBED_THREADS = whole("EMBED_THREADS", 2)
WORKER_STOP_GRACE_SECONDS = positive("WORKER_STOP_GRACE_SECONDS", 30)

# Index
INDEX_ROOT = Path(env.str("INDEX_ROOT", str(VAR_DIR / "index")))
INDEX_REFRESH_MS = positive("INDEX_REFRESH_MS", 100)
INDEX_DELTA_ROWS = whole("INDEX_DELTA_ROWS", 20_000)  # hard cap of changed rows a reader holds in memory
INDEX_FLUSH_ROWS = whole("INDEX_FLUSH_ROWS", 2_000)  # changed listings that make the compactor flush
INDEX_EXACT_ROWS = whole("INDEX_EXACT_ROWS", 10_000, least=1_000)  # segments of fewer are compared whole
INDEX_MEMORY_MB = whole("INDEX_MEMORY_MB", 2048)  # of a build, beside codes and columns; of vectors read ahead
INDEX_RECALL_TARGET = fraction("INDEX_RECALL_TARGET", 0.98)  # of the exact top k that a search should find
INDEX_MONITOR_SHARE = fraction("INDEX_MONITOR_SHARE", 0.01)  # of live queries, repeated exactly to measure it
PURGE_DAYS = number("PURGE_DAYS", 7)  # a deleted photo's vector has left every index file by then

# Web
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", str(VAR_DIR / "static")))
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
SESSION_COOKIE_HTTPONLY = True
HTTPS = flag("HTTPS")  # a proxy in front speaks TLS and sets X-Forwarded-Proto
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"

# REST. Rates live on the cache and fail open.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["listings.api.parsers.BoundedJSONParser", "rest_framework.parsers.MultiPartParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["listings.api.throttles.CallerThrottle", "listings.api.throttles.ScopedThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "anon": rate("anon", "300/min"),
        "user": rate("user", "1200/min"),
        "token": rate("token", "10/min"),
        "search": rate("search", "60/min"),
        "upload": rate("upload", "120/min"),
    },
    "EXCEPTION_HANDLER": "marketplace.errors.api_error",
    "NUM_PROXIES": whole("NUM_PROXIES", 0, least=0),  # trusted proxies in front, whose X-Forwarded-For names the caller
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Marketplace API",
    "DESCRIPTION": "Publish listings with photos, and find what looks like them. Get a token from `token/`, then send "
    '`Authorization: Token …`. Errors are `{"detail": …}` or messages by field.',
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# Health details: for staff, from this machine, or with this token in the header X-Health-Token.
HEALTH_TOKEN = env.str("HEALTH_TOKEN", "")

# Logs: one JSON object a line on stderr; LOG_FORMAT=console for people.
LOGGING = logs.logging_config(env.str("LOG_FORMAT", "json"), env.str("LOG_LEVEL", "INFO"))
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
# A field here would read the session of every request; `marketplace.middleware` adds the user's id where it is known.
DJANGO_STRUCTLOG_USER_ID_FIELD = ""
