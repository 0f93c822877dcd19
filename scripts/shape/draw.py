"""Comments and names drawn by chance, for a reader who judges whether they say why, or what."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .functions import list_chosen
from .survey import Survey
from .text import comments_of

DRAWN = 30


def draw_sample(survey: Survey, seed: str) -> Iterator[str]:
    """The same seed draws the same lines from the same source."""
    dice = random.Random(seed)  # noqa: S311 - no secret depends on this chance
    comments = [
        (module, line) for module in survey.source if not module.is_migration for line, _ in comments_of(module)
    ]
    functions = [function for function in list_chosen(survey.functions) if function.module.is_source]
    yield f"\n{DRAWN} comments"
    for module, line in dice.sample(comments, min(DRAWN, len(comments))):
        yield f"  {module.path}:{line} {module.lines[line - 1].strip()}"
    yield f"\n{DRAWN} function names"
    yield from (f"  {f.place} {f.qualified}" for f in dice.sample(functions, min(DRAWN, len(functions))))
