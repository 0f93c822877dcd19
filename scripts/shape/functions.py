"""Functions and methods: how long they are and how they are called.

A function's length goes from its `def` to its last line, docstring and blank lines included, decorators not. A name
is one word when nothing stands between underscores inside it: `load`, `_load`. Dunders and what a framework calls by
its name are no choice of ours and are left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .classes import Inheritance
from .hooks import is_file_hook, is_hook
from .tree import Module


@dataclass(frozen=True)
class Function:
    """A function, or a method of the class `owner`."""

    module: Module
    line: int
    owner: str | None
    name: str
    length: int
    is_prescribed: bool = False

    @property
    def is_one_word(self) -> bool:
        return "_" not in self.name.strip("_")

    @property
    def qualified(self) -> str:
        return f"{self.owner}.{self.name}" if self.owner else self.name

    @property
    def place(self) -> str:
        return f"{self.module.path}:{self.line}"


def list_functions(modules: Iterable[Module]) -> list[Function]:
    modules = list(modules)
    inheritance = Inheritance(modules)
    return [function for module in modules for function in _functions_in(module, inheritance)]


def _functions_in(module: Module, inheritance: Inheritance) -> Iterator[Function]:
    owners = {member: node.name for node in module.nodes if isinstance(node, ast.ClassDef) for member in node.body}
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            owner = owners.get(node)
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            prescribed = _is_prescribed(module, owner, node.name, inheritance)
            yield Function(module, node.lineno, owner, node.name, length, prescribed)


def _is_prescribed(module: Module, owner: str | None, name: str, inheritance: Inheritance) -> bool:
    if name.startswith("__") and name.endswith("__"):
        return True
    if owner is None:
        return is_file_hook(name, module.name)
    return is_hook(name, inheritance.outside_bases(f"{module.name}.{owner}"))


def list_chosen(functions: Iterable[Function]) -> list[Function]:
    """Those whose names somebody here has chosen."""
    return [function for function in functions if not function.is_prescribed]
