"""`make shape`: the figures in a table, and exit status 1 with a sentence for each limit that is passed.

python -m scripts.shape [--report] [--worst [FOLDER]] [--draw SEED]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from .draw import draw_sample
from .figures import HEADINGS, draw_table, measure
from .folders import list_entries
from .imports import find_circles
from .limits import list_breaches
from .survey import Survey
from .tree import find_root, list_tracked, read_modules
from .worst import list_worst


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    root = find_root(Path.cwd())
    survey = Survey(read_modules(root, list_tracked(root)))
    for line in _describe(survey):
        print(line)
    if options.worst is not None:
        for line in list_worst(survey, options.worst.rstrip("/")):
            print(line)
    if options.draw is not None:
        for line in draw_sample(survey, options.draw):
            print(line)
    breaches = list(list_breaches(survey))
    print("\n" + "\n".join(breaches or ["Every limit is kept."]))
    return 1 if breaches and not options.report else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.shape", description="Counts how the code is laid out.")
    parser.add_argument("--report", action="store_true", help="exit with 0 even where a limit is passed")
    parser.add_argument(
        "--worst", nargs="?", const="", metavar="FOLDER", help="list the places behind the figures, there or everywhere"
    )
    parser.add_argument("--draw", metavar="SEED", help="draw 30 comments and 30 function names, for somebody to judge")
    return parser.parse_args(arguments)


def _describe(survey: Survey) -> Iterator[str]:
    rows = [[name, *measure(modules, survey.functions).as_cells()] for name, modules in survey.parts().items()]
    yield draw_table(["", *HEADINGS], rows)
    entries = list_entries(survey.modules)
    fullest = max(entries, key=lambda folder: len(entries[folder]), default=".")
    circles = len(find_circles(survey.arrows))
    prompt = len(find_circles(arrow for arrow in survey.arrows if not arrow.is_late))
    yield f"\nfullest folder: {fullest} with {len(entries.get(fullest, ()))} modules and folders"
    yield f"import circles: {circles}, of which {prompt} without imports inside functions"
    yield f"private names of others in tests: {len(survey.private_accesses)}, and {len(survey.private_words)} in text"


if __name__ == "__main__":
    sys.exit(main())
