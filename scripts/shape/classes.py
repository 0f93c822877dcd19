"""Classes of the project, with the classes from outside that they inherit from."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable

from .imports import resolve_source
from .tree import Module

# Django finds these two by their names, so all commands have the same one and so have all migrations.
PRESCRIBED = {"Command", "Migration"}


class Inheritance:
    """Follows the names of base classes through the imports of the modules."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self._meanings: dict[str, str] = {}
        self._bases: dict[str, list[str]] = {}
        for module in modules:
            self._add(module)

    def _add(self, module: Module) -> None:
        for node in module.nodes:
            if isinstance(node, ast.Import):
                self._add_import(module, node)
            elif isinstance(node, ast.ImportFrom):
                source = resolve_source(module, node)
                for alias in node.names:
                    self._meanings[f"{module.name}.{alias.asname or alias.name}"] = f"{source}.{alias.name}"
            elif isinstance(node, ast.ClassDef):
                self._bases[f"{module.name}.{node.name}"] = [f"{module.name}.{base}" for base in names_of_bases(node)]

    def _add_import(self, module: Module, node: ast.Import) -> None:
        for alias in node.names:
            local = alias.asname or alias.name.partition(".")[0]
            self._meanings[f"{module.name}.{local}"] = alias.name if alias.asname else local

    def outside_bases(self, name: str) -> set[str]:
        """`name` is the module's with the class's. Classes of the project in between are passed through."""
        found: set[str] = set()
        for base in self._bases.get(name, []):
            meant = self._resolve(base)
            found |= self.outside_bases(meant) if meant in self._bases and meant != name else {meant}
        return found

    def _resolve(self, name: str) -> str:
        """Follow imports from module to module: the longest prefix that one of them has bound, until none has."""
        for _ in range(len(self._meanings)):
            prefix, rest = name, ""
            while prefix and prefix not in self._meanings:
                prefix, _dot, last = prefix.rpartition(".")
                rest = f".{last}{rest}"
            if not prefix or self._meanings[prefix] == prefix:
                return name
            name = self._meanings[prefix] + rest
        return name


def names_of_bases(node: ast.ClassDef) -> list[str]:
    """Without what stands in brackets: `Generic[Row]` is `Generic`."""
    plain = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
    return [ast.unparse(base) for base in plain]


def find_repeated_classes(modules: Iterable[Module], *, by_room: bool = False) -> dict[tuple[str, str], list[str]]:
    """The files in which a folder (or everything in a folder at the top) has classes of one name."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module in modules:
        for node in module.syntax.body:
            if isinstance(node, ast.ClassDef) and node.name not in PRESCRIBED:
                places[module.room if by_room else module.folder, node.name].append(f"{module.path}:{node.lineno}")
    return {key: found for key, found in sorted(places.items()) if len(found) > 1}
