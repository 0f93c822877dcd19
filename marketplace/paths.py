"""Where things lie below VAR_DIR, for settings and supervisor alike; imports nothing of Django."""

import hashlib
import tempfile
from pathlib import Path

# Kernels refuse sockets with longer paths: the limit is 108 bytes on Linux and 104 on macOS.
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
