"""Where things lie below VAR_DIR, for settings and supervisor alike; imports nothing of Django."""

import hashlib
import tempfile
from pathlib import Path

# The path of a socket may have at most 107 bytes on Linux and 103 on macOS; this leaves a few to spare.
SOCKET_PATH_BYTES = 100


def run_directory(var: Path) -> Path:
    """The 0700 directory of locks and sockets: `run` below `var`, or a short stand-in where that path is too long."""
    usual = var / "run"
    if len(str(usual / "valkey.sock").encode()) <= SOCKET_PATH_BYTES:
        return usual
    digest = hashlib.sha256(str(var).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"marketplace-{digest}"


def broker_socket_path(var: Path) -> Path:
    return run_directory(var) / "valkey.sock"
