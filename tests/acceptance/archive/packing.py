"""What every archive of an older site needs: the code of its commit, and one small file of all that the site wrote."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
MADE_ANEW = {"run", "static", "cache", "import-report.csv"}  # by a start, or by the next import


@contextmanager
def check_out(commit: str, tree: Path) -> Iterator[Path]:
    """The code of a commit in a worktree of its own, for as long as it is needed."""
    git = ("git", "-C", str(ROOT), "worktree")
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def hash_files(folder: Path) -> dict[str, str]:
    """The sha256 of every file below, by its path from there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def pack_site(var: Path, expected: dict[str, Any], target: Path) -> None:
    """Write one file of the whole site, like files side by side, and its database without a journal beside it."""
    # Copied by SQLite itself: what its write-ahead log still holds is then in the one file that is packed.
    database = var / "db.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("VACUUM INTO ?", (str(var / "whole.sqlite3"),))
    for path in var.glob("db.sqlite3*"):
        path.unlink()
    (var / "whole.sqlite3").rename(database)
    with tarfile.open(target, "w:xz", preset=9, format=tarfile.GNU_FORMAT) as archive:
        content = json.dumps(expected, indent=1, sort_keys=True).encode()
        entry = tarfile.TarInfo("expected.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
        # Names are random, and files of one kind compress best beside each other.
        for path in sorted(var.rglob("*"), key=lambda path: (path.suffix, path)):
            if path.relative_to(var).parts[0] not in MADE_ANEW:
                archive.add(path, f"var/{path.relative_to(var)}", recursive=False, filter=strip_owner)


def strip_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Forget who made the archive."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    return entry
