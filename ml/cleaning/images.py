"""A folder of pictures as they come becomes a folder of pictures of one size; what cannot be read is listed.

A clean picture carries the modification time of its source: equal times mean "made of this very file, and complete",
which is how a run that was stopped goes on, and how a source that changed is cleaned again. `sources` says which file.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from ml.atomic_files import open_atomic_file, open_atomic_text
from ml.errors import MlError
from ml.folders.picture_files import SUFFIXES, Refusal, list_files, write_refusals
from ml.images import PhotoRefused, decode, describe_missing, encode_jpeg, sniff_header

from .fitting import FITS
from .sources import SOURCES, Source, Sources

logger = logging.getLogger(__name__)

UNREADABLE = "unreadable.csv"
SETTINGS = "clean-images.json"
CHUNK = 1024  # files given to the pool at a time: it makes a job of each at once, and a folder may hold millions


class CleanImagesError(MlError):
    """A folder cannot be cleaned into another; the message says which and why."""


@dataclass(frozen=True)
class Settings:
    """What every picture of one clean folder has in common."""

    size: int
    fit: str


@dataclass(frozen=True)
class CleanedFolder:
    """How many pictures were written, there already or of files that are gone, and the files that gave none."""

    written: int
    there: int
    removed: int
    unreadable: list[Refusal]


def clean_images(source: Path, target: Path, settings: Settings, jobs: int) -> CleanedFolder:
    """Write every picture below `source` as a JPEG of the wanted size to the same place below `target`.

    Raises:
        CleanImagesError: one folder lies in the other, `target` holds pictures of other settings or cannot be written.
        FolderError: `source` is no folder.
    """
    files, unreadable = list_files(source)
    _refuse_nested_folders(source, target)
    sources = _open_target_folder(target, settings)
    names = choose_picture_names(files)
    wanted = {name: Source.stat_file(source, file) for file, name in names.items()}
    counts: Counter[bool] = Counter()
    try:
        _make_folders(target, names.values())
        removed = sources.reconcile_pictures(source, wanted)
        with closing(
            _clean_pictures_in_threads(partial(_clean_picture, source, target, settings), list(names.items()), jobs)
        ) as results:
            progress = tqdm(results, "cleaning", len(files), unit=" pictures", disable=None)
            for (file, name), result in zip(names.items(), progress, strict=True):
                if isinstance(result, str):
                    unreadable.append(Refusal(str(file), result))
                    sources.remove_picture(str(name))
                    del wanted[name]
                else:
                    counts[result] += 1
        sources.record_sources(wanted)
        write_refusals(target / UNREADABLE, unreadable)
    except OSError as exc:
        raise CleanImagesError(f"{exc.filename2 or exc.filename or target} cannot be written: {exc.strerror}.") from exc
    return CleanedFolder(counts[True], counts[False], removed, unreadable)


def choose_picture_names(files: Sequence[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """Where each file's clean picture goes: `a.png` to `a.jpg`, or to `a.png.jpg` where another file goes there.

    Names that differ only in their case count as one, because some file systems hold them for one.
    """
    wanted = {file: _replace_suffix(file) for file in files}
    takers = Counter(_fold_case(name) for name in wanted.values())
    names = {
        file: name if takers[_fold_case(name)] == 1 or name == file else file.with_name(f"{file.name}.jpg")
        for file, name in wanted.items()
    }
    final = Counter(_fold_case(name) for name in names.values())
    if clashing := sorted(str(file) for file, name in names.items() if final[_fold_case(name)] > 1):
        raise CleanImagesError(f"{' and '.join(clashing[:2])} would become one picture; rename one of them.")
    return names


def _replace_suffix(file: PurePosixPath) -> PurePosixPath:
    """Only what is a suffix of pictures: that of `at 12.00.00` is part of its name."""
    return file.with_suffix(".jpg") if file.suffix.lower() in SUFFIXES else file.with_name(f"{file.name}.jpg")


def _fold_case(name: PurePosixPath) -> str:
    return str(name).casefold()


def _refuse_nested_folders(source: Path, target: Path) -> None:
    inner, outer = target.resolve(), source.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise CleanImagesError(f"{target} and {source} lie in one another; write to a folder beside it.")


def _open_target_folder(target: Path, settings: Settings) -> Sources:
    """Make the folder, refuse one whose pictures were cleaned otherwise, and read what they were made of."""
    path = target / SETTINGS
    try:
        target.mkdir(parents=True, exist_ok=True)
        if path.exists():
            found = json.loads(path.read_text())
            if found != asdict(settings):
                raise CleanImagesError(f"{target} holds pictures cleaned with {found}; choose another folder.")
        else:
            with open_atomic_text(path) as file:
                file.write(json.dumps(asdict(settings)) + "\n")
        path = target / SOURCES
        return Sources(target)
    except OSError as exc:
        raise CleanImagesError(f"{target} cannot be written: {exc.strerror}.") from exc
    except ValueError as exc:
        raise CleanImagesError(f"{path} cannot be read: {exc}; delete it or choose another folder.") from exc


def _make_folders(target: Path, names: Iterable[PurePosixPath]) -> None:
    root = target.resolve()
    for folder in sorted({name.parent for name in names}):
        place = target / folder
        if not place.resolve().is_relative_to(root):
            raise CleanImagesError(f"{place} is a link that leads out of {target}; remove it.")
        place.mkdir(parents=True, exist_ok=True)


def _clean_pictures_in_threads(
    clean: Callable[[tuple[PurePosixPath, PurePosixPath]], bool | str],
    names: Sequence[tuple[PurePosixPath, PurePosixPath]],
    jobs: int,
) -> Generator[bool | str, None, None]:
    """Results in the order of `names`; closing it drops what has not begun."""
    # Threads are enough: Pillow decodes, scales and encodes without holding the interpreter's lock.
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="cleaner")
    try:
        for start in range(0, len(names), CHUNK):
            yield from pool.map(clean, names[start : start + CHUNK])
    finally:
        pool.shutdown(cancel_futures=True)


def _clean_picture(
    source: Path, target: Path, settings: Settings, file_and_name: tuple[PurePosixPath, PurePosixPath]
) -> bool | str:
    """Whether the clean picture had to be written, or the sentence why there is none."""
    file, name = file_and_name
    fit = FITS[settings.fit]
    try:
        with (source / file).open("rb") as stream:
            modified = os.fstat(stream.fileno()).st_mtime_ns
            if _is_up_to_date(target / name, modified):
                return False
            header = sniff_header(stream)
            data = stream.read()
        picture = decode(data, fit.needed_side((header.width, header.height), settings.size))
    except PhotoRefused as refusal:
        return refusal.reason
    except OSError as exc:
        return f"The file cannot be read: {exc.strerror}."
    if note := describe_missing(picture):
        logger.warning("%s: %s", file, note)
    with open_atomic_file(target / name) as out:
        out.write(encode_jpeg(fit.apply(picture, settings.size)))
        # The next run takes a picture with its source's modification time for finished. So that time is set before the
        # file takes its name, and after the flush, because a later write would change it again.
        out.flush()
        os.utime(out.fileno(), ns=(modified, modified))
    return True


def _is_up_to_date(path: Path, modified: int) -> bool:
    try:
        there = path.lstat()
    except OSError:
        return False
    return there.st_mtime_ns == modified and there.st_size > 0
