"""Static files are hashed and compressed once; a start that finds the same sources does nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

STAMP = "sources.sha256"


def collect_static_files_if_changed(root: Path) -> bool:
    """Collect if anything changed since the last time; whether it did."""
    now = hash_sources()
    stamp = root / STAMP
    # Collecting takes seconds, for which every start would wait even if no source had changed.
    if stamp.exists() and stamp.read_text() == now:
        return False
    call_command("collectstatic", interactive=False, verbosity=0)
    # The stamp is written last, so that a collection that was interrupted is repeated by the next start.
    stamp.write_text(now)
    return True


def hash_sources() -> str:
    """Name, size and time of every source file, as one hash."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            status = Path(storage.path(name)).stat()
            digest.update(f"{name}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
