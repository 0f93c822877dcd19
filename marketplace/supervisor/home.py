"""The private directory of one site: who may read it, and that only one supervisor uses it at a time."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from marketplace.paths import run_directory
from ml.atomic_files import open_atomic_text

from .errors import CannotStart


class Home:
    def __init__(self, var: Path) -> None:
        self.var = var
        self.run = run_directory(var)

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Hold the directory; the lock ends with this process, however it ends."""
        self._create_directories()
        # Opened without emptying it: whoever finds the lock taken reads in this file which process holds it.
        with (self.run / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                lock.seek(0)
                owner = lock.read().strip()
                raise CannotStart(
                    f"process {owner} already runs on {self.var}. Stop it, or give this one its own VAR_DIR and PORT."
                ) from exc
            self._sign_lock(lock)
            yield

    def _sign_lock(self, lock: TextIO) -> None:
        try:
            lock.truncate(0)
            # Not through the file's buffer, which would be written again, and fail again, when the file is closed.
            os.write(lock.fileno(), str(os.getpid()).encode())
        except OSError as exc:
            raise CannotStart(f"{self.run} cannot be written to ({exc.strerror}).") from exc

    def _create_directories(self) -> None:
        for directory in (self.var, self.run):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                # mkdir changes nothing about a directory that exists already, even if everybody may read it.
                directory.chmod(0o700)
            except OSError as exc:
                raise CannotStart(f"{directory} cannot be made private to you ({exc.strerror}).") from exc

    def ensure_secret_key(self) -> None:
        path = self.var / "secret-key"
        if not path.exists():
            try:
                write_private_file(path, secrets.token_urlsafe(50))
            except OSError as exc:
                raise CannotStart(f"{path} cannot be written ({exc.strerror}).") from exc

    def is_demo_wanted(self) -> bool:
        """Whether `manage.py prepare` found an empty site that has not been filled since."""
        marker = self.var / "demo"
        return marker.exists() and marker.read_text().strip() == "wanted"

    def mark_demo_done(self) -> None:
        (self.var / "demo").write_text("done\n")

    def write_process_ids(self, pids: Mapping[str, int]) -> None:
        """Tell operators which process is which."""
        with open_atomic_text(self.run / "processes.json") as file:
            file.write(json.dumps({"supervisor": os.getpid(), **pids}, indent=1))


def write_private_file(path: Path, text: str) -> None:
    # O_EXCL refuses a file that somebody else has made beforehand: its maker could read the secret written here.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
    except OSError:
        # A full disk leaves an empty file, which the next start would take for the secret.
        path.unlink(missing_ok=True)
        raise
