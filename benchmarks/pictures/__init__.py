"""A folder of pictures through this project's decoder and through others: who disagrees, by kind.

The references are libvips (of everything but HEIC), Chromium (likewise) and heif-convert (of HEIC), the latter two
where they are installed. A picture on which they agree with each other and not with us is a fault of ours. With
`--limits` it measures instead what the largest and costliest files that are taken cost in time and memory.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.shared.machine import describe_processor

from .kinds import FAULTS, Finding, Kind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="searched with the folders in it")
    parser.add_argument(
        "--limits",
        nargs="?",
        const="",
        metavar="FORMAT",
        help="measure instead what files at the limits cost to decode",
    )
    parser.add_argument("--no-site", action="store_true", help="with --limits: measure no web process and worker")
    parser.add_argument("--sheet", type=_check_sheet, metavar="FILE", help="draw disagreements side by side here")
    parser.add_argument("--all", action="store_true", help="list what is nobody's fault as well")
    parser.add_argument("--no-browser", action="store_true", help="leave Chromium out")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.limits is not None:
        from .limits import measure_limits

        return measure_limits(arguments.limits, site=not arguments.no_site) | {"processor": describe_processor()}
    if arguments.folder is None:
        raise SystemExit("pictures: name a folder of pictures, or give --limits.")
    return _compare(arguments)


def _compare(arguments: argparse.Namespace) -> dict[str, Any]:
    from .comparing import SUFFIXES, compare_pictures, find_pictures, list_references
    from .sheet import draw_sheet

    paths = find_pictures(arguments.folder)
    if not paths:
        raise SystemExit(f"pictures: no file in {arguments.folder} is named like a picture ({' '.join(SUFFIXES)}).")
    browser = not arguments.no_browser
    compared = compare_pictures(paths, browser=browser)
    findings = list(tqdm(compared, "pictures", len(paths), disable=not sys.stderr.isatty()))
    shown = [found for kind in _choose_kinds(arguments) for found in findings if found.kind == kind]
    for found in shown:
        print(f"{found.kind}: {found.path.relative_to(arguments.folder)} ({found.format}) {found.detail}")
    if arguments.sheet:
        draw_sheet(shown, arguments.sheet)
    return {
        "pictures": len(findings),
        **count_kinds(findings),
        "references": list_references(browser=browser),
        "processor": describe_processor(),
    }


def _choose_kinds(arguments: argparse.Namespace) -> Sequence[Kind]:
    return [kind for kind in Kind if kind != Kind.AGREE] if arguments.all else FAULTS


def _check_sheet(name: str) -> Path:
    """Refuse at once what could not be written after all pictures were compared."""
    path = Path(name)
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png") or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{name}: give a .jpg or .png in a folder that exists.")
    return path


def count_kinds(findings: Sequence[Finding]) -> dict[str, Any]:
    kinds = Counter(found.kind for found in findings)
    return {
        "disagreements": sum(kinds[kind] for kind in FAULTS),
        "kinds": {kind: kinds[kind] for kind in Kind if kinds[kind]},
        "formats": dict(Counter(found.format for found in findings)),
        "formats_without_second_opinion": sorted({found.format for found in findings if found.kind == Kind.ALONE}),
    }
