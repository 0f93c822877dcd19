"""Where things lie below VAR_DIR, for settings and supervisor alike; imports nothing of Django."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

# The path of a socket may have at most 107 bytes on Linux and 103 on macOS; this leaves a few to spare.
SOCKET_PATH_BYTES = 100

ROOT = Path(__file__).resolve().parents[1]


def find_var_directory(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("VAR_DIR") or ROOT / "var").absolute()


def temporary_directory(var: Path) -> Path:
    """Where web processes keep what is being sent to them, each in a folder of its own."""
    return var / "tmp"


def find_temporary_directory() -> str:
    """Where this process keeps temporary files. Python looks for a folder that takes one: where all are full it finds
    none, and nobody could say which disk is full."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - nothing is made there by this name


def run_directory(var: Path) -> Path:
    """The 0700 directory of locks and sockets: `run` below `var`, or a short stand-in where that path is too long."""
    usual = var / "run"
    if len(str(usual / "valkey.sock").encode()) <= SOCKET_PATH_BYTES:
        return usual
    digest = hashlib.sha256(str(var).encode()).hexdigest()[:12]
    return Path(find_temporary_directory()) / f"marketplace-{digest}"


def broker_socket_path(var: Path) -> Path:
    return run_directory(var) / "valkey.sock"


def health_socket_path(var: Path) -> Path:
    """Where `make run` answers monitors, whatever visitors do."""
    return run_directory(var) / "health.sock"


def private_broker_url(var: Path) -> str:
    """The address of the broker that `make run` starts."""
    return socket_url(broker_socket_path(var))


def socket_url(socket: Path) -> str:
    """The address of a socket; quoted, because in a folder named `a#b` or `100%25` others would look elsewhere."""
    return f"unix://{quote(str(socket))}"
