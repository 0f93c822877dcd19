"""Shows each picture of a folder to every decoder, and judges what they make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from .chromium import CHROMIUM, start_chromium
from .kinds import Finding, Kind
from .libraries import HEIF_CONVERT, view_with_heif_convert, view_with_vips
from .verdicts import is_high_dynamic_range, judge
from .views import Seen, name_format, shrink, view_ours

STILLS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".avif", ".heic", ".heif", ".hif")
SUFFIXES = (*STILLS, ".apng", ".avifs", ".heics")
LOSSLESS = ("PNG", "GIF")
OPEN_TO_TASTE = (Kind.COLOUR, Kind.PLACES, Kind.WITH_ONE, Kind.WITH_NONE)  # where the range is higher than a screen's

Reader = Callable[[Path], Seen]


def find_pictures(folder: Path) -> list[Path]:
    """Every file in a folder and below whose name ends like a picture's."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def list_references(*, browser: bool) -> list[str]:
    """The decoders that can be asked on this machine."""
    return ["libvips", *(["Chromium"] if browser and CHROMIUM else []), *(["heif-convert"] if HEIF_CONVERT else [])]


def compare_pictures(paths: Iterable[Path], *, browser: bool) -> Iterator[Finding]:
    """Judge one picture after another; `browser`: ask Chromium too, where it is installed."""
    with ExitStack() as stack:
        chromium = stack.enter_context(start_chromium()) if browser and CHROMIUM else None
        readers: dict[str, Reader] = {"libvips": view_with_vips}
        if chromium:
            readers["Chromium"] = chromium.view
        heif_readers: dict[str, Reader] = {"heif-convert": view_with_heif_convert} if HEIF_CONVERT else {}
        for path in paths:
            data = path.read_bytes()
            # Neither libvips, as its wheel is built, nor Chromium decodes HEVC, the coding of HEIC.
            yield _compare_picture(path, data, heif_readers if name_format(data) == "HEIF" else readers)


def _compare_picture(path: Path, data: bytes, readers: Mapping[str, Reader]) -> Finding:
    name = name_format(data)
    ours, references = view_ours(data), {reference: read(path) for reference, read in readers.items()}
    kind, detail = judge(ours, references, exact=name in LOSSLESS)
    if kind in OPEN_TO_TASTE and is_high_dynamic_range(data):
        kind = Kind.HDR
    # A folder may hold thousands, so no more is kept of each than a sheet shows.
    shown = {} if kind == Kind.AGREE else {"ours": ours, **references}
    return Finding(path, name, kind, detail, {name: shrink(seen) for name, seen in shown.items()})
