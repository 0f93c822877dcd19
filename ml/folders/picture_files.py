"""Which files of a folder are looked at: every one below it that is not hidden, in an order that never changes."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ml.atomic_files import open_atomic_text
from ml.catalogue.picture_files import PICTURE_SUFFIXES
from ml.errors import MlError
from ml.images import PhotoRefused, sniff_header

SUFFIXES = frozenset(PICTURE_SUFFIXES)


class FolderError(MlError):
    """A folder of pictures cannot be used; the message names it."""


@dataclass(frozen=True)
class Refusal:
    """A file, relative to its folder, that gives no picture, and the sentence why."""

    file: str
    reason: str


def list_files(folder: Path) -> tuple[list[PurePosixPath], list[Refusal]]:
    """Files to read, relative to `folder` and sorted, and what lies there but is not opened.

    Hidden files and folders are passed over. A link is followed to a file inside `folder`, never out of it and never
    to a folder.

    Raises:
        FolderError: `folder` is no folder or cannot be listed.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise FolderError(f"{folder} is not a folder.")
    files: list[PurePosixPath] = []
    refused: list[Refusal] = []
    for place, folders, names in os.walk(root, onerror=_refuse_unlistable_folder):
        here = Path(place)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".") and name not in links]
        for name in [*names, *links]:
            if name.startswith("."):
                continue
            path = PurePosixPath((here / name).relative_to(root))
            if reason := _explain_why_not_opened(here / name, root):
                refused.append(Refusal(str(path), reason))
            else:
                files.append(path)
    return sorted(files), refused


def looks_like_a_picture(path: Path) -> bool:
    """Whether the name says picture, or else the content does."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            sniff_header(file)
    except (OSError, PhotoRefused):
        return False
    return True


def write_refusals(path: Path, refusals: Iterable[Refusal]) -> None:
    """A CSV file of file and reason, sorted by file; bytes of a name that are no text are shown as escapes."""
    rows = sorted((refusal.file, refusal.reason) for refusal in refusals)
    with open_atomic_text(path, newline="", errors="backslashreplace") as file:
        csv.writer(file, lineterminator="\n").writerows([("file", "reason"), *rows])


def _explain_why_not_opened(path: Path, root: Path) -> str:
    if path.is_symlink():
        target = path.resolve()
        if not target.is_relative_to(root):
            return "It is a link that leads out of the folder; it was not followed."
        if target.is_dir():
            return "It is a link to a folder; it was not followed."
        if not target.exists():
            return "It is a link that leads nowhere."
    return "" if path.is_file() else "It is not a regular file."


def _refuse_unlistable_folder(error: OSError) -> None:
    raise FolderError(f"{error.filename} cannot be listed: {error.strerror}.") from error
