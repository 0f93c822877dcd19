"""Who stands for the figures: names, modules, functions and accesses to start with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from .classes import find_repeated_classes
from .folders import list_entries
from .functions import Function, list_chosen
from .imports import find_sibling_circles
from .limits import MODULE_LINES, SIDE_BY_SIDE, SIDE_BY_SIDE_IN
from .survey import Place, Survey
from .text import code_lines_of, comments_of, count_any
from .tree import Module

LONGEST = 25


def list_worst(survey: Survey, folder: str) -> Iterator[str]:
    """In `folder` only, unless it is empty; what concerns the tree as a whole is told in any case."""
    inside = set(survey.within(folder) if folder else survey.modules)
    yield from _list_one_word(function for function in survey.functions if function.module in inside)
    yield from _list_long(survey, inside)
    yield from _list_comments(module for module in survey.source if module in inside)
    yield from _list_private("private names of others in tests", survey.private_accesses, inside)
    yield from _list_private("private names imported or patched by tests", survey.private_words, inside)
    yield from _list_wide(survey)


def _list_one_word(functions: Iterable[Function]) -> Iterator[str]:
    folders: dict[str, list[Function]] = defaultdict(list)
    for function in list_chosen(functions):
        if function.module.is_source:
            folders[function.module.folder].append(function)
    for folder, chosen in sorted(folders.items()):
        short = [function for function in chosen if function.is_one_word]
        if short:
            share = 100 * len(short) / len(chosen)
            yield f"\n{folder or '.'}: {len(short)} of {len(chosen)} names are one word ({share:.0f} %)"
            yield from (f"  {function.place} {function.qualified}" for function in short)


def _list_long(survey: Survey, inside: set[Module]) -> Iterator[str]:
    yield "\nthe longest modules"
    modules = sorted(inside, key=lambda module: -len(module.lines))[:LONGEST]
    yield from (f"  {len(m.lines):4} {m.path}{' TOO LONG' * (len(m.lines) > MODULE_LINES)}" for m in modules)
    yield "\nthe longest functions of the source"
    functions = [function for function in survey.functions if function.module in inside and function.module.is_source]
    longest = sorted(functions, key=lambda function: -function.length)[:LONGEST]
    yield from (f"  {function.length:4} {function.place} {function.qualified}" for function in longest)


def _list_comments(modules: Iterable[Module]) -> Iterator[str]:
    comments, code, any_uses = Counter[str](), Counter[str](), Counter[str]()
    for module in modules:
        comments[module.folder] += len(comments_of(module))
        code[module.folder] += len(code_lines_of(module))
        any_uses[module.folder] += count_any(module)
    yield "\ncomments, lines with code and `Any` by folder"
    for folder, lines in sorted(code.items()):
        if lines:
            share = 100 * comments[folder] / lines
            yield f"  {share:5.2f} % {comments[folder]:4} of {lines:5}, {any_uses[folder]:3} Any  {folder or '.'}"


def _list_private(title: str, places: list[Place], inside: set[Module]) -> Iterator[str]:
    by_file: dict[str, list[str]] = defaultdict(list)
    for module, line, what in places:
        if module in inside:
            by_file[module.path].append(f"{line} {what}")
    yield f"\n{title}: {sum(map(len, by_file.values()))}"
    for path, found in sorted(by_file.items(), key=lambda item: -len(item[1])):
        yield f"  {len(found):3} {path}: {'; '.join(found)}"


def _list_wide(survey: Survey) -> Iterator[str]:
    yield "\nthe fullest folders"
    for folder, entries in sorted(list_entries(survey.modules).items(), key=lambda item: -len(item[1])):
        if len(entries) > SIDE_BY_SIDE_IN.get(folder, SIDE_BY_SIDE) - 2:
            yield f"  {len(entries):3} {folder}"
    yield "\ncircles among what lies side by side, late imports included"
    yield from (f"  {', '.join(circle)}" for circle in find_sibling_circles(survey.arrows))
    yield "\nclasses of one name in one folder at the top"
    for (room, name), places in find_repeated_classes(survey.modules, by_room=True).items():
        yield f"  {room} {name}: {', '.join(places)}"
