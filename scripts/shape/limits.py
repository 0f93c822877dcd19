"""The limits, and a sentence for each place where the code is past one."""

from __future__ import annotations

from collections.abc import Iterator

from .classes import find_repeated_classes
from .folders import list_entries
from .imports import find_circles, find_forbidden
from .survey import Survey

SIDE_BY_SIDE = 16
SIDE_BY_SIDE_IN = {"recommender/index": 8}
INDEX = "recommender.index"
NOT_FOR_INDEX = ("recommender.embedding", "recommender.registry")
ONE_WORD_PERCENT = 35
COMMENT_PERCENT = 4
FUNCTION_P90 = 20
MODULE_LINES = 300
ANY_PER_THOUSAND = 8
PRIVATE_IN_TESTS = 40


def list_breaches(survey: Survey) -> Iterator[str]:
    yield from _check_folders(survey)
    yield from _check_imports(survey)
    yield from _check_lengths(survey)
    yield from _check_classes(survey)
    yield from _check_rates(survey)
    yield from _check_tests(survey)


def _check_folders(survey: Survey) -> Iterator[str]:
    for folder, entries in sorted(list_entries(survey.modules).items()):
        limit = SIDE_BY_SIDE_IN.get(folder, SIDE_BY_SIDE)
        if len(entries) > limit:
            yield f"{folder}/ holds {len(entries)} modules and folders side by side; the limit is {limit}."


def _check_imports(survey: Survey) -> Iterator[str]:
    for circle in find_circles(survey.arrows):
        yield f"These modules import one another in a circle: {', '.join(circle)}."
    for arrow in find_forbidden(survey.arrows, INDEX, NOT_FOR_INDEX):
        place = f"{arrow.importer.path}:{arrow.line}"
        yield f"{place} imports {arrow.target}, which is not for the index to know."


def _check_lengths(survey: Survey) -> Iterator[str]:
    for module in survey.modules:
        if len(module.lines) > MODULE_LINES:
            yield f"{module.path} has {len(module.lines)} lines; the limit is {MODULE_LINES}."
    if survey.figures.function_p90 > FUNCTION_P90:
        yield f"One function in ten has {survey.figures.function_p90} lines or more; the limit is {FUNCTION_P90}."


def _check_classes(survey: Survey) -> Iterator[str]:
    for (folder, name), places in find_repeated_classes(survey.modules).items():
        yield f"{folder}/ has {len(places)} classes that are called {name}: {', '.join(places)}."


def _check_rates(survey: Survey) -> Iterator[str]:
    figures = survey.figures
    if figures.one_word > ONE_WORD_PERCENT:
        yield f"{figures.one_word:.1f} % of the function names are one word; the limit is {ONE_WORD_PERCENT} %."
    if figures.comments < COMMENT_PERCENT:
        yield f"Comments are {figures.comments:.2f} % of the lines with code; the least is {COMMENT_PERCENT} %."
    if figures.any_uses > ANY_PER_THOUSAND:
        yield f"`Any` stands {figures.any_uses:.1f} times in 1,000 lines; the limit is {ANY_PER_THOUSAND}."


def _check_tests(survey: Survey) -> Iterator[str]:
    count = len(survey.private_accesses)
    if count > PRIVATE_IN_TESTS:
        yield f"Tests read private names of others {count} times; the limit is {PRIVATE_IN_TESTS}."
