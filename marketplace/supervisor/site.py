"""What is to run, read once from the environment; a value that makes no sense stops the start with one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marketplace.paths import find_var_directory, health_socket_path, private_broker_url

from .errors import CannotStart

ROOT = Path(__file__).resolve().parents[2]

# FAISS, OpenBLAS and torch would each start a thread for every core, in every process, and all would compete.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# What is allocated in larger pieces goes back to the system when it is freed. Without this glibc would soon keep files
# of photos in the memory of every thread that took one: 130 MB more for each web process.
LARGE_PIECES = {"MALLOC_MMAP_THRESHOLD_": str(8 * 1024 * 1024)}


@dataclass(frozen=True)
class Site:
    var: Path
    port: int
    web_processes: int
    embedding_processes: int
    stop_grace: float
    log_level: str
    # How many listings an empty site is filled with; with 0 it stays empty.
    demo: int
    # If this is empty, a private broker is started, so that nobody has to install one.
    redis_url: str
    environ: Mapping[str, str]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Site:
        return cls(
            var=find_var_directory(environ),
            port=read_integer(environ, "PORT", 8000, 65535),
            web_processes=read_integer(environ, "WEB_PROCESSES", 2, 64),
            embedding_processes=read_integer(environ, "EMBEDDING_PROCESSES", 1, 64),
            stop_grace=float(read_integer(environ, "WORKER_STOP_GRACE_SECONDS", 30, 3600)),
            log_level=environ.get("LOG_LEVEL") or "WARNING",
            demo=read_integer(environ, "DEMO", 208, 100_000, least=0),
            redis_url=environ.get("REDIS_URL", ""),
            environ=environ,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs_own_broker(self) -> bool:
        return not self.redis_url

    def child_environment(self) -> dict[str, str]:
        """The environment of every child: what the caller set wins over what `make run` would choose."""
        return {
            "DJANGO_SETTINGS_MODULE": "marketplace.settings",
            "LOG_FORMAT": "console",
            "LOG_LEVEL": self.log_level,
            "PYTHONUNBUFFERED": "1",
            **self.environ,
            # An empty one too: nothing else says when the site is ready.
            "HEALTH_BIND": self.environ.get("HEALTH_BIND") or f"unix:{health_socket_path(self.var)}",
            "VAR_DIR": str(self.var),
            "PORT": str(self.port),
            "WEB_PROCESSES": str(self.web_processes),
            "REDIS_URL": self.redis_url or private_broker_url(self.var),
        }


def read_integer(environ: Mapping[str, str], name: str, default: int, most: int, least: int = 1) -> int:
    text = environ.get(name) or str(default)
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise CannotStart(f"{name} is '{text}'; it must be a whole number from {least} to {most}.")
    return value
