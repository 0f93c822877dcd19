"""Which module imports which, and the circles among them.

An arrow goes to the module named, or to the package where the name is not a module. Imports under `TYPE_CHECKING`
count, and so do imports inside functions, which are told apart as late.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .tree import Module


@dataclass(frozen=True)
class Arrow:
    """An import in a line of `importer`; `target` is the name of a module of the project."""

    importer: Module
    line: int
    target: str
    is_late: bool


def list_arrows(modules: Iterable[Module]) -> list[Arrow]:
    modules = list(modules)
    names = {module.name for module in modules}
    return [arrow for module in modules for arrow in _arrows_of(module, names)]


def _arrows_of(module: Module, names: set[str]) -> Iterator[Arrow]:
    late = {node for function in module.nodes if _is_function(function) for node in ast.walk(function)}
    for node in module.nodes:
        for named in names_imported(module, node):
            target = named if named in names else named.rpartition(".")[0]
            if target in names and target != module.name:
                yield Arrow(module, getattr(node, "lineno", 0), target, node in late)


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def names_imported(module: Module, node: ast.AST) -> list[str]:
    """What an import statement names, dots in front resolved: `from . import rows` is `package.rows`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        source = resolve_source(module, node)
        return [f"{source}.{alias.name}" for alias in node.names]
    return []


def resolve_source(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def find_circles(arrows: Iterable[Arrow]) -> list[list[str]]:
    graph: dict[str, set[str]] = defaultdict(set)
    for arrow in arrows:
        graph[arrow.importer.name].add(arrow.target)
    return find_components(graph)


def find_sibling_circles(arrows: Iterable[Arrow]) -> list[list[str]]:
    """Circles among what lies side by side in a package, each taken with everything inside it."""
    graph: dict[str, set[str]] = defaultdict(set)
    for arrow in arrows:
        importer, target = arrow.importer.name.split("."), arrow.target.split(".")
        depth = next((i for i, (one, other) in enumerate(zip(importer, target, strict=False)) if one != other), None)
        if depth is not None:
            graph[".".join(importer[: depth + 1])].add(".".join(target[: depth + 1]))
    return find_components(graph)


def find_components(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of at least two nodes that can all reach one another."""
    reached = {node: _reach(graph, node) for node in graph}
    groups = {frozenset(other for other in reached[node] if node in reached.get(other, ())) for node in graph}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _reach(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for target in graph.get(waiting.pop(), set()) - seen:
            seen.add(target)
            waiting.append(target)
    return seen


def find_forbidden(arrows: Iterable[Arrow], source: str, targets: Iterable[str]) -> list[Arrow]:
    """Arrows from inside `source` to one of `targets` or to something inside one."""
    targets = list(targets)
    return [
        arrow
        for arrow in arrows
        if is_inside(arrow.importer.name, source) and any(is_inside(arrow.target, target) for target in targets)
    ]


def is_inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
